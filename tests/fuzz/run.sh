#!/bin/bash
# Fuzzes one target: see --help. The programs are those of the preset "fuzz".
set -euo pipefail

usage() {
    cat <<'END'
usage: tests/fuzz/run.sh TARGET SECONDS [LIBFUZZER-OPTION]...

Runs tests/fuzz/corpus/TARGET and mutations of it for so long; a run without end has SECONDS 0. New inputs that
reach new code are kept in build/fuzz/corpus/TARGET; what crashes, hangs, or breaks a promise is shown and kept
in build/fuzz/findings. The exit code is 0 where nothing was found.
Run a finding again: build/fuzz/tests/fuzz_TARGET FILE
Shrink the corpus:   build/fuzz/tests/fuzz_TARGET -merge=1 EMPTY-FOLDER tests/fuzz/corpus/TARGET build/fuzz/corpus/TARGET
Build before:        cmake --preset fuzz && cmake --build --preset fuzz
END
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ $# -lt 2 ]; then
    usage >&2
    exit 2
fi
target=$1 seconds=$2
shift 2
program=build/fuzz/tests/fuzz_$target
if [ ! -x "$program" ]; then
    echo "there is no $program" >&2
    usage >&2
    exit 2
fi
found=build/fuzz/findings
mkdir -p "build/fuzz/corpus/$target" "$found"

status=0
"$program" -seed=1 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
    -dict="tests/fuzz/dictionaries/$target.dict" -artifact_prefix="$found/$target-" -print_final_stats=1 "$@" \
    "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" || status=$?
if [ "$status" -ne 0 ]; then
    input=$(find "$found" -name "$target-*" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
    if [ -n "$input" ]; then
        echo "the input, kept in $input:"
        head -c 2048 "$input" | od -A d -t x1z -v | head -n 64
    fi
fi
exit "$status"
