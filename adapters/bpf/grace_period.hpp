// Until when a program that was taken away may still be running.
#pragma once

#include "knowledge/error.hpp"

namespace homeostat::bpf {

// Returns when every packet program that was running at the call has ended: after a program was replaced,
// when the old one has written its last. One grace period, some milliseconds. Any thread.
Result<void> wait_for_running_programs();

} // namespace homeostat::bpf
