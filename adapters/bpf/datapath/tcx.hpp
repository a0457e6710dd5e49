// TCX links, of a guard or of a TC program: where they are, and how they go.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <string>

namespace homeostat::bpf {

// Whether the link is on the device that has this index here. A bare index may be that of another device in
// another network namespace, so the device must show the link's program, too. Fails with the errno alone.
Result<bool> is_tcx_on(const KernelPort& kernel, const Descriptor& link, unsigned ifindex, Hook hook);

// Whether it is on another device, wherever that is now. What cannot be asked is not.
bool is_tcx_elsewhere(const KernelPort& kernel, const Descriptor& link, unsigned ifindex, Hook hook);

// Detaches it and gives it up. `what`: for the text. Of a device that is gone, it is detached already.
Result<void> remove_tcx(const KernelPort& kernel, Descriptor& link, const std::string& pin,
                        const std::string& what);

} // namespace homeostat::bpf
