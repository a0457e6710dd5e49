#!/bin/bash
# From a fresh checkout to a running demonstration: installs what is missing, builds, and runs "homeostat lab". Options
# go to the lab; its exit code is this script's.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
log=build/quickstart.log
phases=4

stop() {
    echo "quickstart: $*" >&2
    exit 1
}

# phase N TITLE COMMAND...: its output goes to the log, and is shown on failure.
phase() {
    local number=$1 title=$2 start=$SECONDS
    shift 2
    printf '[%s/%s] %s ... ' "$number" "$phases" "$title"
    if ! { echo "== $title" && "$@"; } >>"$log" 2>&1 </dev/null; then
        echo "failed"
        tail -n 60 "$log" >&2
        stop "$title failed; all of its output is in $log"
    fi
    echo "done ($((SECONDS - start)) s)"
}

case ${1-} in
-h | --help)
    echo "usage: sudo configs/quickstart.sh [OPTION]...   installs, builds, and runs 'homeostat lab OPTION...':"
    echo "  --keep  --flood PPS  --seconds N  --json  --verbose"
    exit 0
    ;;
esac

[ "$(id -u)" -eq 0 ] || stop "needs root: it installs packages, makes network namespaces and loads eBPF programs"
{ command -v dpkg-query && command -v apt-get; } >/dev/null ||
    stop "needs Debian 12 or a relative of it, for apt-get; elsewhere install what configs/packages.txt lists"
[ -e /proc/sys/kernel/unprivileged_bpf_disabled ] || stop "this kernel has no bpf() system call (CONFIG_BPF_SYSCALL)"

mkdir -p build
: >"$log"
phase 1 "packages" configs/install-packages.sh build run
phase 2 "configure" cmake --preset release
phase 3 "build (some minutes)" cmake --build --preset release --target homeostat bpf_objects
echo "[4/$phases] lab"
exec build/release/homeostat lab -c configs/lab.toml "$@"
