// The clsact qdisc of an interface, which classic TC filters hang on. It is shared with whoever else has
// filters there. One that we made is marked by a pin, which names the device: it is made where there is none
// and taken away again, and everybody else's stays.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <string>

namespace homeostat::bpf {

// A filter of this preference, with a handle that is the instance's own: two instances on one interface do
// not take each other's filters.
Filter filter_of(const InterfacePins& pins, std::uint32_t preference);

// Whether the filter is there; false also where there is no such qdisc, or no such device.
Result<bool> has_filter(const KernelPort& kernel, unsigned ifindex, Hook hook, Filter filter);

// Made where there is none. `program` is what is pinned as the mark, any that is loaded; the mark is set
// first, so that a qdisc of ours is never without it.
Result<void> ensure_clsact(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex,
                           int program);

// Taken away where it is ours, and empty: one that only others' filters hang on is theirs from here on. A
// filter that comes between the question and the removal goes with it; the kernel knows no other order.
Result<void> remove_clsact(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex);

// "filter of preference 1 (u32)", "filter of preference 1 (program 17, name)"
std::string describe(const Filter& filter);

} // namespace homeostat::bpf
