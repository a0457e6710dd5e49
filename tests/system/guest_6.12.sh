#!/bin/bash
# The datapath's tests on Debian's Linux 6.12, in QEMU: minutes, without KVM.
[ -n "${HOMEOSTAT_LONG_TESTS:-}" ] || { echo "takes minutes without KVM; tests/run.sh --long runs it" && exit 77; }
exec "$(dirname "${BASH_SOURCE[0]}")/../guest/suite.sh" 6.12
