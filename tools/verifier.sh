#!/usr/bin/env bash
# Packs the verifier of evidence packages into one file that runs with Python 3.9 or newer alone. $1: where.
set -euo pipefail

out=$(realpath -m "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$(dirname "$out")" "$folder/witness_verify"
cp "$(dirname "$0")"/../witness_verify/*.py "$folder/witness_verify/"
# Old Pythons have to be able to read the entry point. 2 is FAIL: nothing was verified.
cat >"$folder/__main__.py" <<'PY'
# -*- coding: utf-8 -*-
import sys

if sys.version_info < (3, 9):
    sys.stderr.write("需要 Python 3.9 或更新版本 / needs Python 3.9 or newer; this is %d.%d\n" % sys.version_info[:2])
    sys.exit(2)

from witness_verify.__main__ import main

sys.exit(main())
PY
python3 -m zipapp "$folder" --output "$out" --python "/usr/bin/env python3"
echo "$1"
