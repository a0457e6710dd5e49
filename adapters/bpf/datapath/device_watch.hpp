// Whether any network device of this network namespace came, went, moved or changed since somebody looked:
// for one system call, where asking for a device costs many.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/error.hpp"

#include <cstdint>

namespace homeostat::bpf {

// Counts rtnetlink's notifications of links; ones that the kernel had to drop count, too. A device's move to
// another namespace, its removal and its new name are told before the call that makes them returns. What is
// attached to a device is not told. Move-only. Thread: that of the datapath.
class DeviceWatch {
  public:
    // Of the calling thread's network namespace.
    static Result<DeviceWatch> open();

    // The same number as before: nothing happened meanwhile.
    std::uint64_t generation();

  private:
    explicit DeviceWatch(Descriptor socket) : socket_(std::move(socket)) {}

    Descriptor socket_;
    std::uint64_t generation_ = 1;
};

} // namespace homeostat::bpf
