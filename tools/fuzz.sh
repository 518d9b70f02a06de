#!/usr/bin/env bash
# Runs every fuzz target for $1 seconds; each says how many inputs it survived. Stops at the first
# that did not. Without a nightly compiler and cargo-fuzz, Rust's parsers get the seeded mutation
# tests only, and that is said.
set -euo pipefail

readonly seconds=$1
readonly dir=media/fuzz

for target in tests/fuzz/fuzz_*.py; do
    module=${target%.py}
    python -m "${module//\//.}" --seconds "$seconds"
done

if cargo +nightly fuzz --version >/dev/null 2>&1; then
    for target in "$dir"/fuzz_targets/*.rs; do
        name=$(basename "$target" .rs)
        log=$(mktemp)
        if ! cargo +nightly fuzz run --fuzz-dir "$dir" "$name" -- \
            -max_total_time="$seconds" -max_len=1500 >"$log" 2>&1; then
            cat "$log"
            exit 1
        fi
        echo "$name: $(grep -o 'Done [0-9]* runs in [0-9]* second' "$log")s"
        rm "$log"
    done
else
    echo "no nightly compiler with cargo-fuzz (cargo install cargo-fuzz): seeded mutations instead"
    cargo test --workspace --locked mutat
fi
