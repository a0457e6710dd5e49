#!/bin/bash
# What the commands that load, attach, replace and detach a program cost as whole processes, beside those of others that
# do the same. In a lab of its own; needs root and configs/install-packages.sh benchmark.
#
# benchmarks/bpf/commands.sh [RUNS]
set -euo pipefail

runs=${1:-50}
build=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/release
object=$build/bpf/xdp_counter.bpf.o
other=$build/bpf/xdp_guard.bpf.o
pin=/sys/fs/bpf/counter

# A network and file systems that go with the last process.
[ "${HOMEOSTAT_LAB:-}" = made ] || HOMEOSTAT_LAB=made exec unshare --net --mount "${BASH_SOURCE[0]}" "$runs"
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
ip link add lab0 type veth peer name lab1
ip link set lab0 up
ip link set lab1 up

ours=$build/homeostat
export object pin ours

# What each tool leaves is taken away before the next command.
nothing() {
    "$ours" detach lab0
    xdp-loader unload lab0 --all
    ip link set dev lab0 xdpdrv off
    ip link set dev lab0 xdpgeneric off
    tc qdisc del dev lab0 clsact
    rm -f "$pin"
} >/dev/null 2>&1
attached_by_homeostat() { nothing; "$ours" attach lab0 "$object"; } >/dev/null 2>&1
attached_by_ip() { nothing; ip link set dev lab0 xdpdrv obj "$object" sec xdp.frags; } >/dev/null 2>&1
attached_by_loader() { nothing; xdp-loader load --mode native lab0 "$object"; } >/dev/null 2>&1
export -f nothing attached_by_homeostat attached_by_ip attached_by_loader

# group WHAT [NAME PREPARE COMMAND]...: a line for each; the first one is what the others are set against.
group() {
    local what=$1 results names=() commands=()
    results=$(mktemp)
    shift
    while [ $# -gt 0 ]; do
        names+=("$1")
        commands+=(--prepare "bash -c '$2 || true'" "$3")
        shift 3
    done
    hyperfine --shell none --runs "$runs" --warmup 2 --style none --export-json "$results" "${commands[@]}" >/dev/null
    paste -d '|' <(printf '%s\n' "${names[@]}") <(sed -nE 's/^ *"median": ([0-9.e-]+),?$/\1/p' "$results") |
        awk -F '|' -v what="$what" 'NR == 1 { ours = $2 }
            { printf "%-8s %-34s %7.1f ms %7.2f\n", what, $1, $2 * 1000, $2 / ours; what = "" }'
    rm "$results"
}

printf '%-8s %-34s %10s %7s\n' "" "medians of $runs runs" "" over
group load \
    'homeostat load' nothing "$ours load $object" \
    'bpftool prog load' nothing "bpftool prog load $object $pin type xdp"
group attach \
    'homeostat attach' nothing "$ours attach lab0 $object" \
    'ip link set xdpdrv' nothing "ip link set dev lab0 xdpdrv obj $object sec xdp.frags" \
    'bpftool prog load, net attach' nothing \
    "sh -c 'bpftool prog load $object $pin type xdp && bpftool net attach xdpdrv pinned $pin dev lab0'" \
    'xdp-loader load' nothing "xdp-loader load --mode native lab0 $object"
group replace \
    'homeostat replace' attached_by_homeostat "$ours replace lab0 $other" \
    'ip -force link set xdpdrv' attached_by_ip "ip -force link set dev lab0 xdpdrv obj $other sec xdp.frags"
group detach \
    'homeostat detach' attached_by_homeostat "$ours detach lab0" \
    'ip link set xdpdrv off' attached_by_ip 'ip link set dev lab0 xdpdrv off' \
    'xdp-loader unload' attached_by_loader 'xdp-loader unload lab0 --all'
