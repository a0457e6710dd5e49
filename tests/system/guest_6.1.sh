#!/bin/bash
# The datapath's tests on Debian's Linux 6.1, in QEMU.
exec "$(dirname "${BASH_SOURCE[0]}")/../guest/suite.sh" 6.1
