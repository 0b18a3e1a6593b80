# Two commands on a fresh clone: `make run` and `make test`. Needs Python >= 3.11 with venv, cargo and a C compiler.
PYTHON ?= python3
VENV := .venv
MATURIN := maturin>=1.9.4,<2
BIN := $(VENV)/bin
export PYO3_PYTHON := $(CURDIR)/$(VENV)/bin/python
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Python starts in half the time when it may keep what it has compiled.
unexport PYTHONDONTWRITEBYTECODE

RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml $(wildcard Cargo.lock rust-toolchain.toml)

# Arm's atomic instructions in place, and ldapr (python/vgic/core_build.py). What is built for an arm64 machine that has
# them uses them; a wheel has both.
LSE := -C target-feature=+lse,+rcpc
ifeq ($(shell uname -m),aarch64)
ifneq ($(shell grep -w atomics /proc/cpuinfo | grep -w lrcpc),)
export RUSTFLAGS := $(strip $(RUSTFLAGS) $(LSE))
endif
endif

# Of a wheel: profile of cargo, target (empty: what `make build` has compiled is used), folder, and what maturin is told
# besides.
WHEEL_PROFILE ?= dist
WHEEL_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
WHEELS ?= dist
WHEEL_FLAGS ?=
BUILD_WHEEL = $(BIN)/maturin build --profile $(WHEEL_PROFILE) $(if $(WHEEL_TARGET),--target $(WHEEL_TARGET)) $(WHEEL_FLAGS)

# What `make wheels` builds for, and the free-threaded Python that gets a wheel of its own: the stable ABI is not for it.
RELEASED := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
FREE_THREADED ?= $(shell command -v python3.14t)

# Runs a command without its output, unless it fails.
quietly = log=$$($(1) 2>&1) || { status=$$?; echo "$$log" >&2; exit $$status; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SILENT:
.PHONY: help run build guest wheel sdist wheels site test test-rust test-python lint prove oracle fuzz bench clean

help: ## Show this list.
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: build ## Build, install into .venv, and compare designs on a recorded guest (about two minutes).
	echo "  run    vgic compare"
	$(BIN)/vgic compare

build: $(VENV)/.built ## Build the release extension and install the package into .venv.

test: test-rust test-python ## Run every test.

test-rust: $(VENV)/.made
	echo "  test   cargo test"
	cargo --config "target.'cfg(all())'.runner='ci/runner/with-timeout'" test --workspace --exclude vgic-bench --quiet

test-python: $(VENV)/.built $(VENV)/.dev
	echo "  test   pytest"
	$(BIN)/pytest -n auto --dist worksteal

lint: $(VENV)/.built $(VENV)/.dev ## Run every check of ci/ (all but ci/arm64.sh, which takes minutes).
	for check in $(filter-out ci/arm64.sh,$(sort $(wildcard ci/*.sh))); do echo "  lint   $$check"; bash "$$check" || exit 1; done

prove: $(VENV)/.built ## Search what the tests have no time for: defects, designs, memory orders (about an hour).
	echo "  prove  the catalogue of defects"
	$(BIN)/vgic prove --history
	echo "  prove  hardened"
	$(BIN)/vgic prove --design hardened --seconds 120
	echo "  prove  longer bounds"
	cargo test --release --quiet -p vgic-check -p vgic-loom -- --ignored

oracle: $(VENV)/.built $(VENV)/.dev ## Send 100,000 random commands to this ITS and to QEMU's (needs qemu-system-arm).
	echo "  oracle qemu-system-aarch64"
	$(BIN)/python tests/oracle/long.py --commands 100000 --seed 1

fuzz: $(VENV)/.built ## Let a hostile guest execute 1,000,000 commands, then a fuzzer look for ten minutes.
	$(call quietly,$(BIN)/python -m pip install --quiet "atheris>=2.3")
	echo "  fuzz   seeded runs"
	$(BIN)/python tests/hostile/fuzz.py --commands 1000000
	echo "  fuzz   atheris"
	$(BIN)/python tests/hostile/fuzz.py --seconds 600 --corpus target/fuzz

bench: $(VENV)/.built $(VENV)/.dev ## Measure, and write BENCHMARKS.md.
	echo "  bench  BENCHMARKS.md"
	$(BIN)/python benches/make_benchmarks.py

guest: ## Compile the program that vgic confirm boots (needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross).
	echo "  guest  python/vgic/confirm/guest/guest"
	$(MAKE) --no-print-directory -C python/vgic/confirm/guest

wheel: $(VENV)/.tools ## Build a wheel into dist/; one for arm64 has the core twice, with LSE and for all CPUs.
	echo "  wheel  $(or $(WHEEL_TARGET),as built)"
	rm -rf python/vgic/lse target/lse
	trap 'rm -rf python/vgic/lse' EXIT; \
	case "$(WHEEL_TARGET)" in aarch64-*) \
	  ($(call quietly,RUSTFLAGS="$(LSE)" $(BUILD_WHEEL) --out target/lse)) && \
	  mkdir python/vgic/lse && \
	  $(BIN)/python -m zipfile -e target/lse/vgic-*.whl target/lse && mv target/lse/vgic/_core.abi3.so python/vgic/lse/ ;; esac || exit; \
	RUSTFLAGS=; export RUSTFLAGS; $(call quietly,$(BUILD_WHEEL) --out $(WHEELS))

sdist: $(VENV)/.tools
	echo "  sdist  $(WHEELS)"
	$(call quietly,$(BIN)/maturin sdist --out $(WHEELS))

wheels: $(VENV)/.tools $(VENV)/.release ## Build what is published into dist/: wheels for x86-64 and arm64, the sdist (needs rustup).
	rm -rf $(WHEELS)
	$(MAKE) --no-print-directory sdist
	for target in $(RELEASED); do \
	  $(call quietly,rustup target add $$target); \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(MAKE) --no-print-directory wheel WHEEL_TARGET=$$target WHEEL_FLAGS=--zig || exit; done
	$(if $(FREE_THREADED),PATH="$(CURDIR)/$(BIN):$$PATH" $(MAKE) --no-print-directory wheel \
	    WHEEL_FLAGS="--zig --interpreter $(FREE_THREADED)", \
	  echo "  wheel  none for a free-threaded Python: there is none here (FREE_THREADED=python3.14t names one)")
	FREE_THREADED="$(FREE_THREADED)" ci/wheels.sh $(WHEELS)/*

site: $(VENV)/.site ## Build the documentation as a site into target/site.
	echo "  site   target/site"
	$(call quietly,NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --config-file site/mkdocs.yml)
	echo "  'python3 -m http.server --directory target/site' shows it, with its search"

clean: ## Remove what was built.
	rm -rf $(VENV) target dist python/vgic/*.so report.html result.json

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed ('make PYTHON=python3.12' names another one)" >&2; exit 1; }
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: this Python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	command -v cargo >/dev/null || { echo "make: cargo is needed (https://rustup.rs)" >&2; exit 1; }
	command -v cc >/dev/null || { echo "make: a C compiler is needed to link: apt-get install gcc" >&2; exit 1; }
	echo "  venv   $(VENV)"
	$(call quietly,$(PYTHON) -m venv $(VENV))
	touch $@

$(VENV)/.tools: pyproject.toml $(VENV)/.made
	echo "  pip    maturin"
	$(call quietly,$(BIN)/python -m pip install --quiet "$(MATURIN)")
	touch $@

$(VENV)/.built: $(VENV)/.tools pyproject.toml $(RUST_SOURCES)
	echo "  build  vgic (release)"
	rm -rf python/vgic/lse
	$(call quietly,$(BIN)/maturin develop --release)
	touch $@

# What an extra of pyproject.toml needs, for pip: `dev` is what the tests need.
$(VENV)/%.txt: pyproject.toml $(VENV)/.made
	$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*p["dependencies"], *p["optional-dependencies"]["$*"], sep="\n")' > $@

$(VENV)/.dev $(VENV)/.release $(VENV)/.site: $(VENV)/.%: $(VENV)/%.txt
	echo "  pip    what '$*' needs"
	$(call quietly,$(BIN)/python -m pip install --quiet -r $<)
	touch $@
