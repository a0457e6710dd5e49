#!/bin/bash
# Builds Homeostat and runs all of its tests: see --help. The last line is "N passed, N failed, N skipped".
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

usage() {
    cat <<'END'
usage: tests/run.sh [--preset NAME]... [--filter PATTERN] [--long] [--count NAME=passed|failed]...

  --preset NAME     only this preset: release, asan, tsan or fuzz; may be repeated. By default all of them:
                    release and asan run every test, tsan runs engine_runner_test, fuzz runs each fuzz target
                    for ten seconds (longer: tests/fuzz/run.sh). The next one is built while one is tested.
  --filter PATTERN  only test programs and system scripts whose name matches this shell pattern
  --long            the long forms of tests that have one: 1,000 times where it is 50 or 100 otherwise
  --count NAME=...  counts a check that was made before among the tests
Packages that are missing are installed, which needs root. Tests that need root are skipped without it.
Logs are in build/test-logs. Exit code: 0 where everything built and nothing failed, else 1.
END
}

presets=()
filter='*'
passed=0 failed=0 skipped=0
failures=()
logs=build/test-logs
program_time_max=900s # for one test program or script
fuzz_seconds=10        # for one fuzz target
build_job=             # a process group

fail() {
    failures+=("$1")
    failed=$((failed + 1))
}

closing() {
    if [ ${#failures[@]} -gt 0 ]; then
        echo "failed:"
        printf '  %s\n' "${failures[@]}"
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] || exit 1
    exit 0
}

count_check() {
    case $1 in
    *=passed) passed=$((passed + 1)) ;;
    *=failed) fail "${1%=*}" ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

while [ $# -gt 0 ]; do
    case $1 in
    --preset | --filter | --count)
        [ $# -ge 2 ] || { usage >&2 && exit 2; }
        case $1 in
        --preset) presets+=("$2") ;;
        --filter) filter=$2 ;;
        --count) count_check "$2" ;;
        esac
        shift 2
        ;;
    --long)
        export HOMEOSTAT_LONG_TESTS=1
        program_time_max=3600s
        shift
        ;;
    --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
done
[ ${#presets[@]} -gt 0 ] || presets=(release asan fuzz tsan)

# Where this script itself ends unexpectedly, that is a failure too.
trap 'stop_build; fail "tests/run.sh (ended early)"; closing' EXIT
trap 'exit 130' INT TERM

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'; }

# run_logged LOG COMMAND...: the output goes to the log.
run_logged() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null
}

show_log() { sed 's/^/    /' "$1" | tail -n "${2:-200}"; }

# shellcheck disable=SC2317 # by the trap
stop_build() { [ -z "$build_job" ] || kill -TERM -- "-$build_job"; }

# Configures and builds, in the background; others go first where there are too few processors.
start_build() {
    local preset=$1 log=$logs/$1/build.log
    local targets=()
    [ "$preset" != tsan ] || targets=(--target engine_runner_test)
    echo "$preset: building ..."
    build_start=$EPOCHREALTIME
    set -m
    {
        run_logged "$log.configure" cmake --preset "$preset" &&
            run_logged "$log" nice -n 10 cmake --build --preset "$preset" "${targets[@]}"
        echo $? >"$log.code"
    } &
    build_job=$!
    set +m
}

finish_build() {
    local preset=$1 log=$logs/$1/build.log
    wait "$build_job"
    build_job=
    if [ "$(cat "$log.code")" -eq 0 ]; then
        echo "$preset: built ($(seconds_since "$build_start"))"
        return 0
    fi
    [ -s "$log" ] || cp "$log.configure" "$log"
    echo "$preset: BUILD FAILED ($(seconds_since "$build_start")), the end of $log:"
    show_log "$log" 60
    fail "$preset: build"
    return 1
}

# The names of a preset's test programs, as CMake knows them: what was built from older sources is not among them.
programs_of() {
    if [ "$1" = tsan ]; then
        echo engine_runner_test
    else
        ctest --test-dir "build/$1" -N | sed -n 's/^ *Test *#[0-9]*: *//p'
    fi
}

# From GoogleTest's report, one field a line: "PASSED FAILED SKIPPED"; nothing where the report is not whole.
numbers_of() {
    [ -s "$1" ] || return 0
    awk '
        /"result": "COMPLETED"/ { completed++ }
        /"result": "SKIPPED"/ { skipped++; was_skipped = 1 }
        /"result": "COMPLETED"/ { was_skipped = 0 }
        /"failures": \[/ { failed++; if (was_skipped) skipped--; else completed-- }
        /^}/ { whole = 1 }
        END { if (whole) print completed + 0, failed + 0, skipped + 0 }' "$1"
}

explain_skips() { awk '/: Skipped$/ { getline reason; print "    skipped: " reason }' "$1" | sort | uniq -c | sort -rn |
    sed -E 's/^ *([0-9]+) +(skipped:.*)/    \2 (\1)/'; }

explain_end() {
    case $1 in
    124 | 137) echo "no end after $program_time_max" ;;
    *) echo "exit code $1" ;;
    esac
}

# "Suite.Test: " where a crash or a timeout left a test without an end.
running_at_end() { sed -nE 's/^\[ RUN      \] (.*)$/\1: /p; s/^.*\[ +(OK|FAILED|SKIPPED) +\].*$//p' "$1" | tail -n 1; }

run_program() {
    local preset=$1 name=$2 log=$logs/$1/$2.log report=$logs/$1/$2.json start=$EPOCHREALTIME
    local code good=0 bad=0 left_out=0 failed_before=$failed numbers
    rm -f "$report"
    run_logged "$log" timeout -k 10s "$program_time_max" "build/$preset/tests/$name" \
        "--gtest_output=json:$report"
    code=$?
    numbers=$(numbers_of "$report")
    read -r good bad left_out <<<"${numbers:-0 0 0}"
    while read -r test; do
        fail "$preset: $name: $test"
    done < <(sed -nE 's/^\[  FAILED  \] ([^ ,]+)(, where .*)? \([0-9]+ ms\)$/\1/p' "$log")
    # As many as the report says, also where a line of the log was broken; and a crash is one.
    while [ $((failed - failed_before)) -lt "$bad" ]; do fail "$preset: $name: see $log"; done
    if [ -z "$numbers" ] || { [ "$code" -ne 0 ] && [ "$failed" -eq "$failed_before" ]; }; then
        fail "$preset: $name: $(running_at_end "$log")$(explain_end "$code")"
        bad=$((failed - failed_before))
    fi
    passed=$((passed + good))
    skipped=$((skipped + left_out))
    echo "$preset: $name: $good passed, $bad failed, $left_out skipped ($(seconds_since "$start"))"
    [ "$left_out" -eq 0 ] || explain_skips "$log"
    [ "$bad" -eq 0 ] || show_log "$log"
}

run_system_script() {
    local script=$1 name log code start=$EPOCHREALTIME
    name=system/$(basename "$script")
    log=$logs/$name.log
    run_logged "$log" timeout -k 10s "$program_time_max" bash "$script"
    code=$?
    case $code in
    0)
        passed=$((passed + 1))
        echo "$name: passed ($(seconds_since "$start"))"
        ;;
    77)
        skipped=$((skipped + 1))
        echo "$name: skipped ($(seconds_since "$start"))"
        echo "    skipped: $(tail -n 1 "$log")"
        ;;
    *)
        fail "$name ($(explain_end "$code"))"
        echo "$name: FAILED ($(seconds_since "$start"))"
        show_log "$log"
        ;;
    esac
}

# The fuzz targets, two at a time.
run_fuzz_targets() {
    local program target names=()
    for program in build/fuzz/tests/fuzz_*; do
        target=${program##*/}
        # shellcheck disable=SC2254 # a pattern
        case $target in $filter) names+=("${target#fuzz_}") ;; esac
    done
    [ ${#names[@]} -gt 0 ] || return 0
    mkdir -p "$logs/fuzz"
    # shellcheck disable=SC2016 # expanded by the inner shell
    printf '%s\n' "${names[@]}" | xargs -P 2 -I {} timeout -k 10s "$program_time_max" bash -c \
        'tests/fuzz/run.sh "$1" "$2" >"$3/$1.log" 2>&1 </dev/null; echo $? >"$3/$1.code"' _ {} "$fuzz_seconds" "$logs/fuzz"
    for target in "${names[@]}"; do count_fuzz_target "$target"; done
}

count_fuzz_target() {
    local log=$logs/fuzz/$1.log code
    code=$(cat "$logs/fuzz/$1.code" 2>/dev/null || echo 124)
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
        echo "fuzz: $1: passed ($(sed -nE 's/^stat::number_of_executed_units: *//p' "$log") executions)"
    else
        fail "fuzz: $1: $(explain_end "$code")"
        echo "fuzz: $1: FAILED"
        show_log "$log"
    fi
}

test_preset() {
    local name names=()
    if [ "$1" = fuzz ]; then
        run_fuzz_targets
        return
    fi
    mapfile -t names < <(programs_of "$1")
    [ ${#names[@]} -gt 0 ] || fail "$1: no tests were found"
    for name in "${names[@]}"; do
        # shellcheck disable=SC2254 # a pattern
        case $name in $filter) run_program "$1" "$name" ;; esac
    done
    [ "$1" = release ] || return
    export HOMEOSTAT=$PWD/build/release/homeostat
    for script in tests/system/*.sh; do
        [ -e "$script" ] || continue
        # shellcheck disable=SC2254 # a pattern
        case $(basename "$script") in $filter) run_system_script "$script" ;; esac
    done
}

if ! configs/install-packages.sh build run test fuzz; then
    fail "packages"
fi
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
rm -rf "$logs"
start_build "${presets[0]}"
for i in "${!presets[@]}"; do
    finish_build "${presets[i]}"
    built=$?
    [ $((i + 1)) -ge ${#presets[@]} ] || start_build "${presets[i + 1]}"
    [ "$built" -ne 0 ] || test_preset "${presets[i]}"
done
trap - EXIT
[ $((passed + failed + skipped)) -gt 0 ] || fail "no test matches $filter"
closing
