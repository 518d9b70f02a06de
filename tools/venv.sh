#!/usr/bin/env bash
# Creates the virtual environment $1 with the pinned uv in it.
set -euo pipefail

readonly venv=$1
readonly uv_version=0.13.9

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "Witness needs Python 3.11 or newer; none is on the PATH." >&2
    return 1
}

python=$(find_python)
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package="$(basename "$(readlink -f "$python")")-venv"
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "installing $package (Debian ships Python without ensurepip)"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        echo "Python's venv module is incomplete. Run once: sudo apt-get install $package" >&2
        exit 1
    fi
fi

if [[ ! -x $venv/bin/python ]]; then
    "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
touch "$venv/bin/uv"
