#!/bin/bash
# Installs what is missing of the packages in packages.txt: install-packages.sh SECTION...
# With --list, prints the missing packages and installs nothing. Needs root where something is missing.
set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$folder/packages.txt

usage() {
    echo "usage: install-packages.sh [--list] SECTION...   sections: $(sed -n 's/^\[\(.*\)\]$/\1/p' "$list" | xargs)" >&2
    exit 2
}

packages_of() {
    awk -v wanted="[$1]" '
        { sub(/[ \t]*#.*/, "") }
        /^\[/ { inside = ($0 == wanted); next }
        inside && NF { print $1 }' "$list"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

only_list=false
if [ "${1-}" = --list ]; then
    only_list=true
    shift
fi
[ $# -gt 0 ] || usage

missing=()
for section in "$@"; do
    grep -qxF "[$section]" "$list" || usage
    while read -r package; do
        is_installed "$package" || missing+=("$package")
    done < <(packages_of "$section")
done

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if $only_list; then
    printf '%s\n' "${missing[@]}"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages: ${missing[*]}; run as root: $0 $*" >&2
    exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# What is installed serves tests: no service starts.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get -q update
apt-get -q -y --no-install-recommends install "${missing[@]}"
