// Putting right what time and other people do: a change that was not finished, a device that went and came
// back.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <string>
#include <vector>

namespace homeostat::bpf {

struct ManagedInterface;

// Takes back all of it, the last first; a guard stays as it is. Where something cannot be taken back, that is
// kept in the journal. Returns what went wrong; "" where all went well.
std::string take_back_all(Instance& instance, const KernelPort& kernel, const std::string& interface,
                          const std::vector<Undo>& undo);

// Has the guard that is pinned for the interface pass again, where there is one. Returns why it does not; ""
// where it does.
std::string disarm_guard(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface);

// After a switch: waits until no packet can be on its way past XDP, and has the guard pass again. Until then
// the packets that XDP passes are judged a second time, by the twin. This is no part of the transaction: the
// switch is done when the new program is there.
Result<void> stand_down(const KernelPort& kernel, ManagedInterface& interface);

// Whether what is attached is pinned still, and what is to come can be.
bool is_pinned(const ManagedInterface& interface);
// Pins what is pinned no more. Fails where it cannot be pinned.
Result<void> pin_again(const Instance& instance, const ManagedInterface& interface);

// What a process that was killed had begun and not finished: what should be is decided anew. Returns what to
// tell of it; "" where there was nothing.
std::string take_back_unfinished(Instance& instance, const KernelPort& kernel);

// Whether the interface's link is on the device on which follow_device() saw it: for one system call. It may
// be detached, or hold another program.
bool is_where_it_was(ManagedInterface& interface);

// The interface's device as it is now. What hangs on a device that has the interface's name no longer, or
// went to another network namespace, is taken off there: it is ours, and nobody would manage it. 0: there is
// none.
unsigned follow_device(const KernelPort& kernel, ManagedInterface& interface);

// Takes up the TC programs of ours that are on the device, and forgets those that are not on it any more.
// What stands on another device by now, wherever that is, is taken off.
void adopt_tc(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex);

// Has the device guarded that the interface is now, where a program has a twin. Returns why it is not; ""
// where it is.
std::string follow_with_guard(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex);

} // namespace homeostat::bpf
