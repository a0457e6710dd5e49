#include "adapters/bpf/datapath/tcx.hpp"

#include "adapters/bpf/kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

namespace homeostat::bpf {

Result<bool> is_tcx_on(const KernelPort& kernel, const Descriptor& link, unsigned ifindex, Hook hook) {
    bpf_link_info info{};
    if (const int error = kernel.link_info(link.get(), info); error != 0)
        return failure(errno_text(error), -error);
    // The TCX part of the union begins as the XDP part does: with the ifindex, 0 for a link that is dead.
    if (info.xdp.ifindex != ifindex) return false;
    std::vector<std::uint32_t> shown;
    if (const int error = kernel.query_tcx(ifindex, hook, shown); error != 0)
        return failure(errno_text(error), -error);
    return std::ranges::find(shown, info.prog_id) != shown.end();
}

bool is_tcx_elsewhere(const KernelPort& kernel, const Descriptor& link, unsigned ifindex, Hook hook) {
    bpf_link_info info{};
    if (!link || kernel.link_info(link.get(), info) != 0 || info.xdp.ifindex == 0) return false;
    if (info.xdp.ifindex != ifindex) return true;
    std::vector<std::uint32_t> shown;
    return kernel.query_tcx(ifindex, hook, shown) == 0 &&
           std::ranges::find(shown, info.prog_id) == shown.end();
}

Result<void> remove_tcx(const KernelPort& kernel, Descriptor& link, const std::string& pin,
                        const std::string& what) {
    const int detached = kernel.detach_link(link.get());
    if (detached != 0 && detached != -ENOLINK)
        return failure("detach " + what + ": " + errno_text(detached), -detached);
    const int unpinned = kernel.unpin(pin);
    link = Descriptor();
    if (unpinned == 0 || unpinned == -ENOENT) return {};
    return failure("unpin " + what + ": " + errno_text(unpinned), -unpinned);
}

} // namespace homeostat::bpf
