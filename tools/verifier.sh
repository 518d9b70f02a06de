#!/usr/bin/env bash
# Packs the verifier of evidence packages into one file that runs with Python 3.11 alone. $1: where.
set -euo pipefail

out=$(realpath -m "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$(dirname "$out")" "$folder/witness_verify"
cp "$(dirname "$0")"/../witness_verify/*.py "$folder/witness_verify/"
# The entry point that zipapp writes forgets the exit code.
printf 'import sys\n\nfrom witness_verify.__main__ import main\n\nsys.exit(main())\n' >"$folder/__main__.py"
python3 -m zipapp "$folder" --output "$out" --python "/usr/bin/env python3"
echo "$1"
