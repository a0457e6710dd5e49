#include "adapters/bpf/datapath/clsact.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

namespace homeostat::bpf {

Filter filter_of(const InterfacePins& pins, std::uint32_t preference) {
    std::uint32_t handle = 2166136261U; // FNV-1a
    for (const char c : pins.folder()) handle = (handle ^ static_cast<unsigned char>(c)) * 16777619U;
    return {.priority = preference, .handle = handle | 1U, .program_id = 0};
}

Result<bool> has_filter(const KernelPort& kernel, unsigned ifindex, Hook hook, Filter filter) {
    const int error = kernel.find_filter(ifindex, hook, filter);
    // EINVAL: there is no such qdisc.
    if (error == 0 || error == -ENOENT || error == -EINVAL || error == -ENODEV) return error == 0;
    return failure(errno_text(error), -error);
}

Result<void> ensure_clsact(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex,
                           int program) {
    const std::string mark = pins.clsact(ifindex);
    const int marked = kernel.pin(program, mark); // -EEXIST: an earlier one of ours, which may be gone
    if (marked != 0 && marked != -EEXIST) return failure("pin " + mark + ": " + errno_text(marked), -marked);
    const int made = kernel.make_clsact(ifindex);
    if (made == 0 || (made == -EEXIST && marked == -EEXIST)) return {};
    const int unmarked = marked == 0 ? kernel.unpin(mark) : 0;
    if (made != -EEXIST)
        return failure("make a clsact qdisc: " + errno_text(made) + capability_hint(made), -made);
    if (unmarked == 0) return {};
    return failure("unpin " + mark + ": " + errno_text(unmarked), -unmarked);
}

Result<void> remove_clsact(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex) {
    const std::string mark = pins.clsact(ifindex);
    std::error_code ignored;
    if (ifindex == 0 || !std::filesystem::exists(mark, ignored)) return {};
    bool is_empty = true;
    bool has_ours = false;
    for (const Hook hook : {Hook::tcx_ingress, Hook::tcx_egress}) {
        std::vector<Filter> filters;
        if (const int error = kernel.query_filters(ifindex, hook, filters); error != 0)
            return failure("ask for the filters of the clsact qdisc: " + errno_text(error), -error);
        is_empty = is_empty && filters.empty();
        has_ours = has_ours ||
                   std::ranges::find(filters, filter_of(pins, 0).handle, &Filter::handle) != filters.end();
    }
    if (has_ours) return {};
    const int removed = is_empty ? kernel.remove_clsact(ifindex) : 0;
    // It may be gone already.
    if (removed != 0 && removed != -ENOENT && removed != -EINVAL)
        return failure("remove the clsact qdisc: " + errno_text(removed) + capability_hint(removed),
                       -removed);
    const int unmarked = kernel.unpin(mark);
    if (unmarked == 0 || unmarked == -ENOENT) return {};
    return failure("unpin " + mark + ": " + errno_text(unmarked), -unmarked);
}

std::string describe(const Filter& filter) {
    std::string what = filter.kind;
    if (filter.program_id != 0) {
        const std::string name = program_name(filter.program_id);
        what = "program " + std::to_string(filter.program_id) + (name.empty() ? "" : ", " + name);
    }
    return "filter of preference " + std::to_string(filter.priority) +
           (what.empty() ? "" : " (" + what + ")");
}

} // namespace homeostat::bpf
