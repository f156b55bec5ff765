#!/usr/bin/env bash
# What `make fuzz` does: runs every fuzz target for some seconds, two at a time, and fails if one of them crashes, hangs for
# more than 5 seconds or takes more than 1 GiB.
#
#     scripts/fuzz.sh [SECONDS [TARGET…]]       60 seconds and all targets if left out
#
# Needs no nightly compiler and no cargo-fuzz. What was learned stays in fuzz/corpus, inputs that crash in fuzz/artifacts.
# MORE_SEEDS may name a folder with folders of further seeds, named as the targets.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)

RUSTC_WRAPPER=$PWD/instrument.sh cargo build --locked --bins
TMPDIR=$(mktemp -d)
export TMPDIR SECONDS_EACH=$seconds
trap 'rm -rf "$TMPDIR"' EXIT

# Outside of this shell: xargs runs two at a time.
one() {
    target=$1
    mkdir -p "corpus/$target" "artifacts/$target"
    folders=("corpus/$target" "seeds/$target")
    [ -z "${MORE_SEEDS:-}" ] || [ ! -d "$MORE_SEEDS/$target" ] || folders+=("$MORE_SEEDS/$target")
    log=artifacts/$target.log
    if "target/debug/$target" "${folders[@]}" -artifact_prefix="artifacts/$target/" -max_total_time="$SECONDS_EACH" \
        -timeout=5 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 >"$log" 2>&1; then
        result=clean
    else
        result=FAILED
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    printf '%-14s %10s runs  %s\n' "$target" "${runs:-?}" "$result"
    [ $result = clean ]
}
export -f one
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -c 'one "$1"' _ {}
