#!/usr/bin/env bash
# Everything that can be said about the sources without running them. Goes on after a failure and
# names all that failed. $@: the Python packages.
set -uo pipefail

failed=()
step() {
    local name=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $name"
    else
        echo "FAILED  $name: $*"
        printf '%s\n' "$output" | tail -n 60 | sed 's/^/        /'
        failed+=("$name")
    fi
}

is_current() {
    diff <(witness config reference) configs/witness.yaml
}

no_long_files() {
    # 800 lines is the most a file may have; generated and vendored ones are not counted.
    local long
    long=$(git ls-files '*.py' '*.rs' '*.js' | grep -v '^third_party/' | xargs wc -l |
        awk '$1 > 800 && $2 != "total"')
    [[ -z $long ]] || { echo "$long"; return 1; }
}

step "python format" ruff format --check .
step "python lint" ruff check .
step "python types" mypy
step "stubs" python -m mypy.stubtest sfu._media --ignore-disjoint-bases
step "import direction" lint-imports
step "rust format" cargo fmt --all --check
step "rust lint" cargo clippy --workspace --all-targets --locked -- -D warnings
step "web types" npm --prefix web run check --silent
step "message schema" python -m signaling.schema --check
step "configuration reference" is_current
step "lock files" tools/lock.sh --check
step "file size" no_long_files

if [[ ${#failed[@]} -gt 0 ]]; then
    echo
    echo "failed: ${failed[*]}"
    exit 1
fi
