// Putting right what time and other people do: a change that was not finished, a device that went and came
// back.
#pragma once

#include "adapters/bpf/instance.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <string>
#include <vector>

namespace homeostat::bpf {

struct ManagedInterface;

// Takes back all of it, the last first; then the guard of the interface passes again. Where something cannot
// be taken back, that is kept in the journal, and the guard stays armed. Returns what went wrong; "" where
// all went well.
std::string take_back_all(Instance& instance, const KernelPort& kernel, const std::string& interface,
                          const std::vector<Undo>& undo);

// What a process that was killed had begun and not finished: what should be is decided anew. Returns what to
// tell of it; "" where there was nothing.
std::string take_back_unfinished(Instance& instance, const KernelPort& kernel);

// The interface's device as it is now. Its link is given up where it is another device's, and taken up again
// where the device came back. 0: there is none.
unsigned follow_device(const KernelPort& kernel, ManagedInterface& interface);

// Has the device guarded that the interface is now, where a program has a twin. Returns why it is not; ""
// where it is.
std::string follow_with_guard(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex);

} // namespace homeostat::bpf
