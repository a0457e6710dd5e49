// What an instance has left behind that nothing needs: pins of devices that went, programs that are not
// attached, maps that no attached program works on.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <string>
#include <vector>

namespace homeostat::bpf {

struct Orphan {
    std::string path; // of the pin, or of the journal
    std::string what; // "program", "map", "link", "guard", "qdisc", "change"
    std::string why;

    bool operator==(const Orphan&) const = default;
};

struct Garbage {
    std::vector<Orphan> orphans;
    std::vector<std::string> notes; // what looks like one and works: "pinned for v0, its device is w0 now"
};

// Finds them, and removes them where `remove` says so; else nothing is changed or written: a change that was
// cut short is taken back first. Of this instance only, and nothing that is attached or that an attached
// program uses, but for the second link that a switch left which nothing else tells of any more. Fails where
// a process owns the instance, or something cannot be removed. In the calling thread's network namespace.
Result<Garbage> collect_garbage(const InstancePlace& place, bool remove,
                                const KernelPort& kernel = KernelPort());
// Removes what a change of this interface that was not made has left behind: what is garbage and was not
// among it `before`. Nothing, where the change could not be taken back: that needs its pins.
Result<void> collect_since(const Garbage& before, const InstancePlace& place, const std::string& interface,
                           const KernelPort& kernel = KernelPort());

} // namespace homeostat::bpf
