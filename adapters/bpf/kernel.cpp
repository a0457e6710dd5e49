#include "adapters/bpf/kernel.hpp"

#include "adapters/bpf/descriptor.hpp"

#include <linux/capability.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

namespace homeostat::bpf {

namespace {

std::uint64_t effective_capabilities() {
    std::ifstream status("/proc/thread-self/status");
    const std::string prefix = "CapEff:";
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(prefix)) return std::strtoull(line.c_str() + prefix.size(), nullptr, 16);
    return ~std::uint64_t{0}; // no procfs: nothing can be said to be missing
}

} // namespace

std::string errno_text(int number) {
    number = std::abs(number);
    const char* text = ::strerrordesc_np(number);
    const char* name = ::strerrorname_np(number);
    if (text == nullptr || name == nullptr) return "error " + std::to_string(number);
    return std::string(text) + " (" + name + ")";
}

std::vector<std::string> missing_capabilities() {
    const std::uint64_t have = effective_capabilities();
    const auto has = [&](int capability) { return (have >> capability & 1U) != 0; };
    const bool admin = has(CAP_SYS_ADMIN);
    std::vector<std::string> missing;
    if (!has(CAP_BPF) && !admin) missing.emplace_back("CAP_BPF");
    if (!has(CAP_NET_ADMIN)) missing.emplace_back("CAP_NET_ADMIN");
    if (!has(CAP_PERFMON) && !admin) missing.emplace_back("CAP_PERFMON");
    return missing;
}

std::string capability_hint(int number) {
    if (std::abs(number) != EPERM && std::abs(number) != EACCES) return {};
    std::string list;
    for (const std::string& capability : missing_capabilities())
        list += (list.empty() ? "" : ", ") + capability;
    return list.empty() ? "" : "; missing " + list + ": run as root or grant them";
}

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool is_up(const std::string& interface) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    return ::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0 &&
           (request.ifr_flags & IFF_RUNNING) != 0;
}

} // namespace homeostat::bpf
