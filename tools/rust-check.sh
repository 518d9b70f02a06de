#!/usr/bin/env bash
# Says in one line what is missing for building the media plane; a linker is installed if possible.
set -euo pipefail

readonly wanted=1.89

if ! command -v cargo >/dev/null; then
    echo "Rust is missing: cargo $wanted or newer must be on the PATH." >&2
    exit 1
fi
have=$(cargo --version | cut -d' ' -f2)
if [[ $(printf '%s\n' "$wanted" "$have" | sort -V | head -n1) != "$wanted" ]]; then
    echo "Rust $have is too old: $wanted or newer is needed (edition 2024)." >&2
    exit 1
fi
if ! command -v cc >/dev/null; then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "installing gcc and libc6-dev (Rust needs a linker, the crypto library a C compiler)"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            gcc libc6-dev >/dev/null
    else
        echo "A C compiler is missing. Run once: sudo apt-get install gcc libc6-dev" >&2
        exit 1
    fi
fi
