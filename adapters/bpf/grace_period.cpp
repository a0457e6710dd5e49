#include "adapters/bpf/grace_period.hpp"

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace homeostat::bpf {

namespace {

// The kernel promises that an update of a map of maps returns when no program can use the old map any more.
// It also does so where membarrier cannot: with nohz_full.
Result<void> wait_by_map_of_maps() {
    const std::string what = "wait for running programs: update a map of maps: ";
    const Descriptor inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "barrier_inner", 4, 4, 1, nullptr));
    if (!inner) return failure(what + errno_text(errno) + capability_hint(errno), errno);
    LIBBPF_OPTS(bpf_map_create_opts, options);
    options.inner_map_fd = static_cast<std::uint32_t>(inner.get());
    const Descriptor outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "barrier", 4, 4, 1, &options));
    if (!outer) return failure(what + errno_text(errno) + capability_hint(errno), errno);
    const std::uint32_t key = 0;
    const int value = inner.get();
    if (const int error = bpf_map_update_elem(outer.get(), &key, &value, BPF_ANY); error != 0)
        return failure(what + errno_text(error), -error);
    return {};
}

} // namespace

Result<void> wait_for_running_programs() {
    // With one CPU the kernel takes a shortcut that a program which was preempted does not keep to.
    if (::sysconf(_SC_NPROCESSORS_ONLN) > 1 && ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
        return {};
    return wait_by_map_of_maps();
}

} // namespace homeostat::bpf
