// Programs that may become active are attached in advance, in drv mode, to a place where no packet comes: a
// veth end that is never up, in a network namespace without a name, which goes when this object goes, or its
// process. The kernel then has them in its XDP dispatcher already, and need not patch that and wait for a
// grace period when they go live: a replacement takes microseconds instead of milliseconds.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/error.hpp"

#include <span>
#include <vector>

namespace homeostat::bpf {

// The kernel's dispatcher has 48 slots for the whole host; each program that is attached natively somewhere
// takes one, whether it is anchored or not.
inline constexpr std::size_t anchors_max = 16;

// Move-only. Thread: none of its own.
class Anchors {
  public:
    Anchors() = default;

    // Anchors the first anchors_max of the programs (descriptors). Takes CAP_SYS_ADMIN, to make the
    // namespace, and a few milliseconds a program. Fails where that cannot be, with the reason; switches are
    // slower then, and nothing else.
    static Result<Anchors> hold(std::span<const int> programs);

    std::size_t size() const { return links_.size(); }

  private:
    std::vector<Descriptor> links_;
    Descriptor namespace_;
};

} // namespace homeostat::bpf
