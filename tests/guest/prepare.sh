#!/bin/bash
# prepare.sh 6.1|6.12 FOLDER: a kernel of Debian's for a guest, from the machine's own apt: FOLDER/vmlinuz and
# FOLDER/base.cpio, an initramfs with busybox, the modules that the tests take, and netdevsim, which is in no image of
# Debian's and is built here. Installs nothing; does nothing where FOLDER is whole already.
# Exit codes: 77 where packages are missing (the last line says which), 1 where something failed.
set -euo pipefail

version=$1
folder=$2

skip() {
    echo "$*"
    exit 77
}

case $version in
6.1) meta=linux-image-cloud-amd64 ;;
6.12) meta=linux-image-6.12-cloud-amd64 ;;
*) echo "usage: prepare.sh 6.1|6.12 FOLDER" >&2 && exit 2 ;;
esac

digest=$(sha256sum "${BASH_SOURCE[0]}")
[ "$(cat "$folder/whole" 2>/dev/null)" != "$digest" ] || exit 0
[ "$(uname -m)" = x86_64 ] || skip "needs an x86-64 machine, for Debian's amd64 kernels"
for tool in apt-get apt-cache dpkg make gcc-12 xz cpio depmod modprobe busybox; do
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || skip "needs $tool: configs/install-packages.sh build test"
done
PATH=$PATH:/usr/sbin

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/initramfs
mkdir -p "$folder" "$stage"/{bin,modules}

# The kernel's image, and what a module for it is built from.
image_of() { apt-cache depends "$1" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1; }
image=$(image_of "$meta")
if [ -z "$image" ] && [ "$(id -u)" -eq 0 ]; then
    apt-get -q update || true
    image=$(image_of "$meta")
fi
[ -n "$image" ] || skip "needs a package that apt does not know: $meta (bookworm-security)"
abi=${image#linux-image-}
base=${abi%-cloud-amd64}
packages=("$image" "linux-headers-$abi" "linux-headers-$base-common" "linux-source-$version")
case $version in
6.1) packages+=(linux-kbuild-6.1 linux-compiler-gcc-12-x86) ;;
6.12) packages+=("linux-kbuild-$base") ;;
esac
(cd "$work" && apt-get -q download "${packages[@]}") || skip "apt cannot download ${packages[*]}"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done

build_netdevsim() {
    local source=linux-source-$version headers=$work/root/usr/src/linux-headers-$abi
    local module=$work/$source/drivers/net/netdevsim
    local objects="netdev.o dev.o ethtool.o fib.o bus.o health.o hwstats.o udp_tunnels.o bpf.o ipsec.o psample.o"
    local files=("$source/drivers/net/netdevsim")
    [ "$version" = 6.1 ] || files+=("$source/drivers/ptp/ptp_mock.c" "$source/include/linux/ptp_mock.h")
    tar -C "$work" -xJf "$work/root/usr/src/$source.tar.xz" "${files[@]}"
    if [ "$version" != 6.1 ]; then
        objects+=" macsec.o ptp_mock.o"
        mkdir "$module/linux"
        cp "$work/$source/drivers/ptp/ptp_mock.c" "$module/"
        cp "$work/$source/include/linux/ptp_mock.h" "$module/linux/"
    fi
    # shellcheck disable=SC2016 # make expands it
    printf 'obj-m := netdevsim.o\nnetdevsim-objs := %s\nccflags-y := -I$(src) -DCONFIG_PTP_1588_CLOCK_MOCK=1\n' \
        "$objects" >"$module/Makefile"
    sed -i "s#/usr/src/#$work/root/usr/src/#" "$headers/Makefile"
    make -s -C "$headers" M="$module" CONFIG_DEBUG_INFO_BTF_MODULES= modules
    strip -g "$module/netdevsim.ko"
    cp "$module/netdevsim.ko" "$stage/modules/"
}

# What it depends on, each before what needs it; nothing where the kernel has it built in.
add_module() {
    local kind path name
    while read -r kind path _; do
        [ "$kind" = insmod ] || continue
        name=$(basename "$path" .xz)
        ! grep -qx "$name" "$stage/modules.order" || continue
        case $path in
        *.xz) xz -dc "$path" >"$stage/modules/$name" ;;
        *) cp "$path" "$stage/modules/$name" ;;
        esac
        echo "$name" >>"$stage/modules.order"
    done < <(modprobe -d "$work/root" -S "$abi" --show-depends "$1")
}

cp "$work/root/boot/vmlinuz-$abi" "$folder/vmlinuz"
cp "$(command -v busybox)" "$stage/bin/busybox"
: >"$stage/modules.order"
depmod -b "$work/root" "$abi"
modules=(veth cls_bpf sch_ingress dummy bridge bonding tun ifb af_packet psample)
[ "$version" = 6.1 ] || modules+=(macsec)
for module in "${modules[@]}"; do add_module "$module"; done
build_netdevsim
echo netdevsim.ko >>"$stage/modules.order"
(cd "$stage" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$folder/base.cpio"
echo "$digest" >"$folder/whole"
