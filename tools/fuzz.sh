#!/usr/bin/env bash
# Runs every fuzz target of Python for $1 seconds and the mutation tests of Rust; each prints how
# many inputs it survived.
set -euo pipefail

readonly seconds=$1

for target in tests/fuzz/fuzz_*.py; do
    module=${target%.py}
    python -m "${module//\//.}" --seconds "$seconds"
done
cargo test --workspace --locked mutat -- --nocapture
