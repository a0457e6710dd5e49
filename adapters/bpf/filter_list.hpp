// The filters of an interface's clsact qdisc, which libbpf does not list.
#pragma once

#include "adapters/bpf/kernel_port.hpp"

#include <vector>

namespace homeostat::bpf {

// In the order in which they run, by preference and then as the classifier has them, those of the calling
// thread's network namespace. 0 or a negative errno; no filters where there is no such qdisc.
int list_filters(unsigned ifindex, bool egress, std::vector<Filter>& filters);

} // namespace homeostat::bpf
