// Small questions to the kernel, and why it says no, in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace homeostat::bpf {

// "Operation not permitted (EPERM)"; either sign of the number will do.
std::string errno_text(int number);

// Those of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON that the calling thread lacks; CAP_SYS_ADMIN stands for
// CAP_BPF and CAP_PERFMON.
std::vector<std::string> missing_capabilities();

// "; missing CAP_BPF, CAP_PERFMON: run as root or grant them" for EPERM and EACCES where some are missing,
// else "".
std::string capability_hint(int number);

// CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns.
std::int64_t monotonic_ns();

// Whether the interface is switched on, and has a carrier, in the calling thread's network namespace.
bool is_up(const std::string& interface);

} // namespace homeostat::bpf
