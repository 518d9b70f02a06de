# Witness. `make help` lists what can be done; nothing has to be installed by hand on Debian 12
# with Python 3.11 and Rust.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
STAMPS := $(VENV)/.stamps
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
export VIRTUAL_ENV := $(abspath $(VENV))

RUST_SOURCES := Cargo.toml $(wildcard Cargo.lock) \
	$(shell find media third_party -path '*/tests' -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)
PYTHON_PACKAGES := sfu signaling rtp recorder archive analytics witness_verify witness loadtest

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMPS)/build ## a call on this machine: server, two participants, a report, a sealed recording (KEEP=1 stays up until Ctrl+C)
	@witness demo $(if $(filter-out 0,$(KEEP)),--keep) $(DEMO_ARGS)

.PHONY: build
build: $(STAMPS)/build ## environment and media plane, release mode

.PHONY: test
test: $(STAMPS)/build $(STAMPS)/dev $(STAMPS)/web tools-for-tests ## all tests that this machine can run
	cargo test --workspace --locked
	npm --prefix web test --silent
	pytest -n 3 --dist worksteal -m "not browser and not bench" $(PYTEST_ARGS)
	pytest -m bench $(PYTEST_ARGS)
	pytest -m browser $(PYTEST_ARGS) || { echo "once more, in case the machine was too busy for a browser:"; \
		pytest -m browser --last-failed $(PYTEST_ARGS); }

.PHONY: check
check: $(STAMPS)/build $(STAMPS)/dev $(STAMPS)/web ## format, lint, types, stubs, import direction, generated files
	tools/check.sh $(PYTHON_PACKAGES)

.PHONY: format
format: $(STAMPS)/build $(STAMPS)/dev ## canonical form of the sources, generated files anew
	ruff format .
	ruff check --fix .
	cargo fmt --all
	python -m signaling.schema
	node tools/modulepreload.mjs --write
	witness config reference > configs/witness.yaml.new
	mv configs/witness.yaml.new configs/witness.yaml

.PHONY: bench
bench: $(STAMPS)/build ## what forwarding costs on this machine (BENCH_ARGS=--quick: in under 45 s)
	@witness bench forward $(BENCH_ARGS)

.PHONY: weaknet
weaknet: $(STAMPS)/build ## calls over every bad network, compared with docs/weak-networks.md, 40 min (WEAKNET_ARGS="--only random70")
	@witness loadtest matrix $(WEAKNET_ARGS)

.PHONY: wheel
wheel: $(STAMPS)/sync ## dist/*.whl with the plane, the pages and the configuration
	maturin build --release --locked --out dist

.PHONY: verifier
verifier: ## dist/witness-verify.pyz: checks evidence packages on any machine with Python 3.9 or newer
	@tools/verifier.sh dist/witness-verify.pyz

.PHONY: fuzz
fuzz: $(STAMPS)/build $(STAMPS)/dev ## every fuzz target for FUZZ_SECONDS (60) each; prints how many inputs survived
	tools/fuzz.sh $(or $(FUZZ_SECONDS),60)

.PHONY: lock
lock: $(STAMPS)/dev ## fit requirements/*.lock to pyproject.toml (UPGRADE=1 takes newer versions)
	tools/lock.sh $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(VENV) target dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf sfu/_media*.so web/node_modules
	find . -name __pycache__ -type d -not -path './third_party/*' -prune -exec rm -rf {} +

.PHONY: tools-for-tests
tools-for-tests: $(STAMPS)/dev
	@tools/test-tools.sh

$(BIN)/uv $(VENV)/bin/uv: tools/venv.sh
	tools/venv.sh $(VENV)

$(STAMPS)/sync: requirements/build.lock $(VENV)/bin/uv
	uv pip install --quiet --require-hashes --requirement $<
	@mkdir -p $(@D) && touch $@

$(STAMPS)/dev: requirements/dev.lock $(VENV)/bin/uv
	uv pip install --quiet --require-hashes --requirement $<
	@mkdir -p $(@D) && touch $@

$(STAMPS)/web: web/package-lock.json $(STAMPS)/dev
	npm ci --prefix web --silent --no-audit --no-fund
	@mkdir -p $(@D) && touch $@

$(STAMPS)/build: $(RUST_SOURCES) pyproject.toml $(STAMPS)/sync
	tools/rust-check.sh
	maturin develop --release --locked --uv
	@mkdir -p $(@D) && touch $@
