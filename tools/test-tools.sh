#!/usr/bin/env bash
# Gets what only some tests need. What can't be had is named; those tests then skip themselves.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v firefox-esr >/dev/null || missing+=(firefox-esr)
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
command -v turnserver >/dev/null || missing+=(coturn)
command -v redis-server >/dev/null || missing+=(redis-server)
[[ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ]] || missing+=(fonts-noto-cjk)

if [[ ${#missing[@]} -gt 0 ]]; then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "installing for the browser, network, film and Redis tests: ${missing[*]}"
        if ! { apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
                "${missing[@]}"; } >/dev/null 2>&1; then
            echo "could not install ${missing[*]}: the tests that need them are skipped"
        fi
    else
        echo "missing: ${missing[*]}; the tests that need them are skipped." \
            "To run them: sudo apt-get install ${missing[*]}"
    fi
fi

# A real S3 server, with object lock, for the tests of the archive: built from its Go module once.
s3_server=github.com/versity/versitygw/cmd/versitygw@v1.8.0
if ! command -v versitygw >/dev/null; then
    if command -v go >/dev/null; then
        echo "building versitygw for the tests of the archive (about a minute)"
        GOBIN="${VIRTUAL_ENV:?}/bin" GOFLAGS=-buildvcs=false go install -ldflags="-s -w" "$s3_server" \
            >/dev/null 2>&1 ||
            echo "could not build versitygw: tests against a real S3 server are skipped"
    else
        echo "Go is missing: tests against a real S3 server are skipped." \
            "To run them: go install $s3_server"
    fi
fi

# Models for the tests of detectors: some 350 MB the first time, nothing after that.
if ! installed=$(python -m witness models install 2>&1); then
    echo "could not install the models: tests that need them are skipped (${installed##*$'\n'})"
fi
