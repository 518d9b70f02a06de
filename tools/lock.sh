#!/usr/bin/env bash
# Writes requirements/*.lock from pyproject.toml: exact versions with hashes, and no address of any
# index, so that a mirror serves as well. Versions already locked stay unless --upgrade is given;
# --check only says whether the files are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$@" pyproject.toml
}

options=()
target=requirements
case ${1:-} in
--upgrade) options=(--upgrade) ;;
--check)
    target=$(mktemp -d)
    trap 'rm -rf "$target"' EXIT
    cp requirements/*.lock "$target"
    ;;
esac

compile "$target/runtime.lock" "${options[@]}"
compile "$target/speech.lock" --extra speech --constraint "$target/runtime.lock" "${options[@]}"
compile "$target/build.lock" --group build --constraint "$target/runtime.lock" "${options[@]}"
compile "$target/dev.lock" --group dev --constraint "$target/build.lock" \
    --constraint "$target/speech.lock" "${options[@]}"

if [[ $target != requirements ]]; then
    diff --brief requirements "$target" || {
        echo "requirements/ does not fit pyproject.toml; run tools/lock.sh" >&2
        exit 1
    }
fi
