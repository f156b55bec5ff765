#!/usr/bin/env bash
# Stands before rustc when scripts/fuzz.sh builds: adds what libFuzzer needs to the crates whose ways through an input are
# to be found, and to no others. Works with a stable compiler; there is no sanitizer, but overflows and indices are checked.
set -eu
for word in "$@"; do
    case "${previous:-} $word" in
    "--crate-name fieldglow" | "--crate-name fieldglow_kernels" | "--crate-name roxmltree" | "--crate-name weezl" | \
        "--crate-name toml_parser" | "--crate-name toml" | "--crate-name serde_json")
        flags=(
            --cfg fuzzing
            -Cpasses=sancov-module
            -Cllvm-args=-sanitizer-coverage-level=4
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
            -Cllvm-args=-sanitizer-coverage-pc-table
            -Cllvm-args=-sanitizer-coverage-trace-compares
        )
        ;;
    esac
    previous=$word
done
exec "$@" ${flags[@]+"${flags[@]}"}
