#!/bin/bash
# suite.sh 6.1|6.12: the datapath's tests on a kernel of Debian's, see run.sh; all of them with HOMEOSTAT_LONG_TESTS
# set, else without those that take a guest minutes.
set -euo pipefail

migration="map_migration_test:-UnderLoad.AddingToANumber*:UnderLoad.AMillionEntriesOfAHash*"
transaction="transaction_test:*/Tcx" # without TCX, all that Linux 6.1 runs is clsact
[ "$1" != 6.1 ] || transaction="transaction_test:*/Clsact"
if [ -n "${HOMEOSTAT_LONG_TESTS:-}" ]; then
    migration=map_migration_test
    transaction=transaction_test
    export HOMEOSTAT_GUEST_SECONDS=${HOMEOSTAT_GUEST_SECONDS:-3600}
fi
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh" "$1" hw_test programs_test xdp_link_test datapath_test modes_test drift_test garbage_test foreign_test \
    "$transaction" tc_test map_handover_test "$migration"
