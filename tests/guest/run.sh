#!/bin/bash
# run.sh 6.1|6.12 PROGRAM...: boots a kernel of Debian's in QEMU, runs the test programs of the release build in it as
# root, one after the other, and prints what they print. A program may be followed by GoogleTest's filter, as
# "datapath_test:Suite.*". What is downloaded and built for the guest is kept in build/guest.
# Exit codes: 0 where every program passed and ran at least one test; 77 where QEMU or packages are missing (the last
# line says which); 1 otherwise.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -ge 2 ] || { echo "usage: tests/guest/run.sh 6.1|6.12 PROGRAM[:FILTER]..." >&2 && exit 2; }
version=$1
shift
tests=$PWD/build/release/tests
seconds_max=${HOMEOSTAT_GUEST_SECONDS:-600}
memory_mib=2048

skip() {
    echo "$*"
    exit 77
}

command -v qemu-system-x86_64 >/dev/null || skip "needs qemu-system-x86_64: configs/install-packages.sh test"
folder=build/guest/$version
tests/guest/prepare.sh "$version" "$folder"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
files=$work/files

# A file at its own place, with the shared libraries that it needs.
add() {
    local file
    for file in "$1" $(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'); do
        [ ! -e "$files$file" ] || continue
        mkdir -p "$files$(dirname "$file")"
        cp -L "$file" "$files$file"
        [ "$file" = "${file%.so*}" ] || continue
        strip --strip-debug "$files$file" 2>/dev/null || true
    done
}

mkdir -p "$files"
add "$(command -v ip)"
for object in build/release/bpf/*.bpf.o build/release/tests/bpf/*.bpf.o; do
    mkdir -p "$files$PWD/$(dirname "$object")"
    cp "$object" "$files$PWD/$object"
done
for worker in crash_worker handover_worker; do add "$tests/$worker"; done
cat >"$files/guest.sh" <<END
${HOMEOSTAT_LONG_TESTS:+export HOMEOSTAT_LONG_TESTS=1}
failed=0
run() {
    echo "guest: \$1"
    "$tests/\$1" --gtest_color=no --gtest_filter="\${2:-*}" && return
    echo "guest: \$1: exit code \$?"
    failed=1
}
END
for program in "$@"; do
    name=${program%%:*}
    filter=${program#"$name"}
    [ -x "$tests/$name" ] || { echo "$tests/$name is not built" >&2 && exit 1; }
    add "$tests/$name"
    echo "run $name '${filter#:}'"
done >>"$files/guest.sh"
# shellcheck disable=SC2016 # the guest expands it
echo 'exit $failed' >>"$files/guest.sh"
install -m 755 tests/guest/init "$files/init"
(cd "$files" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$work/files.cpio"
cat "$folder/base.cpio" "$work/files.cpio" >"$work/initrd"

options=(console=ttyS0 quiet loglevel=3 panic=-1 oops=panic nokaslr mitigations=off tsc=reliable no_timer_check
    cryptomgr.notests random.trust_cpu=on net.ifnames=0 rdinit=/init)
# Two processors, but one thread: QEMU 7.2 loses a race with the kernel's patching of its own text otherwise, and
# corrupts flags after cmpxchg16b.
boot() {
    code=0
    : >"$work/verdict"
    timeout --foreground -k 10 "$seconds_max" qemu-system-x86_64 -M pc,usb=off,vmport=off,hpet=off \
        -accel tcg,thread=single -cpu max,cx16=off,la57=off -m "$memory_mib" -smp 2 -nodefaults -no-user-config \
        -display none -serial "file:$work/console" -serial "file:$work/verdict" -no-reboot \
        -kernel "$folder/vmlinuz" -initrd "$work/initrd" -append "${options[*]}" </dev/null || code=$?
    tr -d '\r' <"$work/console" >"$work/log"
    cat "$work/log"
}

# A guest that dies without a verdict is QEMU's doing, once.
for _ in 1 2; do
    boot
    [ "$code" != 124 ] || { echo "the guest did not end within $seconds_max seconds" && exit 1; }
    [ ! -s "$work/verdict" ] || break
    echo "the guest ended without a verdict (QEMU's exit code $code)"
done

grep -E '^guest: |^\[  (PASSED|FAILED|SKIPPED) ' "$work/log" | sed "s/^/$version: /" || true
# A program in which every test was skipped showed nothing.
started=$(grep -c '^guest: [a-z_]*$' "$work/log" || true)
bad=$(grep -cE '^guest: [a-z_]*: exit code|^\[  PASSED  \] 0 tests' "$work/log" || true)
if [ "$(tr -dc 0-9 <"$work/verdict")" != 0 ] || [ "$started" != $# ] || [ "$bad" != 0 ]; then
    echo "Linux $version: not all of $# test programs passed"
    exit 1
fi
echo "Linux $version: all of $# test programs passed"
