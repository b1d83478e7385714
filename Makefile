# The commands of everyday work; the build itself is CMake's (CMakeLists.txt, CMakePresets.json).
# `make` alone lists them.
#
#   NO_INSTALL=1      install no packages
#   LABELS=unit,e2e   make test: only these kinds of tests
#   BUILDS=release    make test: only this build (release, asan)
#   JOBS=2            compile and test so many at a time
#   ONCE=1            make run: end after the first recording
#   CALLS=500         make bench: dual-channel calls at once
#   CALL_SECONDS=60   make bench: how long each of them sends
#   STEER=both        make bench: whose core receives: sender, recorder, or a run of each

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

JOBS ?= $(shell nproc)
LABELS ?=
BUILDS ?= release,asan
ONCE ?=
SECONDS_EACH ?= 60
CALLS ?= 500
CALL_SECONDS ?= 60
STEER ?= both
PYTHON := /usr/bin/python3
BIN := build/release/bin
C_FILES = $(shell git ls-files '*.c' '*.h')

.PHONY: help deps deps-test build run test bench soak check-bare fuzz fmt tidy clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

deps: ## install what building and running needs (NO_INSTALL=1: only say what is missing)
	@packaging/deps.sh run

deps-test: ## install what the tests need in addition
	@packaging/deps.sh test

build: deps ## build the programs: gcc, release, into build/release/bin
	@cmake --preset release >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) --target programs

run: build ## start the recorder and make a first recording (ONCE=1: end after it)
	@exec $(BIN)/slrctl run --demo $(if $(filter-out 0,$(ONCE)),--once)

test: deps-test ## build with gcc and with clang's sanitizers, run the tests in both
	@for build in $(subst $(comma), ,$(BUILDS)); do \
	    cmake --preset $$build >build/$$build.log 2>&1 || { cat build/$$build.log; exit 1; }; \
	    cmake --build --preset $$build -j $(JOBS); \
	done
	@exec $(PYTHON) tests/run.py --builds $(BUILDS) --jobs $(JOBS) $(if $(LABELS),--labels $(LABELS))

bench: deps ## run the benches (release build): one JSON line a figure
	@cmake --preset release >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) --target programs benches
	@found=0; for program in $(BIN)/bench-*; do \
	    [ -x "$$program" ] || continue; found=1; "$$program"; \
	done; [ $$found = 1 ] || { echo 'no bench programs were built' >&2; exit 1; }
	@bench/capacity.py --bin $(BIN) --calls $(CALLS) --seconds $(CALL_SECONDS) --steer $(STEER)

soak: deps-test ## the long tests, one after the other (release, and ThreadSanitizer)
	@cmake --preset release >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) --target programs benches sim
	@cmake --preset tsan >build/tsan.log 2>&1 || { cat build/tsan.log; exit 1; }
	@cmake --build --preset tsan -j $(JOBS) --target programs
	@exec $(PYTHON) tests/run.py --soak --builds release --jobs 1

check-bare: ## try `make run` and `make test` in a bare Debian 12 made by debootstrap (root)
	@packaging/deps.sh bare
	@exec packaging/check-bare.sh

fuzz: deps-test ## every libFuzzer target for SECONDS_EACH seconds (60)
	@cmake --preset fuzz >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
	@cmake --build --preset fuzz -j $(JOBS) --target fuzzers
	@for target in build/fuzz/tests/fuzz_*; do \
	    parser=$${target##*/fuzz_}; \
	    mkdir -p build/fuzz/found/$$parser; \
	    echo "fuzz: $$parser"; \
	    $$target -max_total_time=$(SECONDS_EACH) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=build/fuzz/found/$$parser- \
	        build/fuzz/found/$$parser tests/fuzz/corpus/$$parser; \
	done

fmt: ## format all tracked C files
	@clang-format-14 -i $(C_FILES)

tidy: deps-test ## clang-tidy over all sources (.clang-tidy)
	@cmake --preset asan >build/asan.log 2>&1 || { cat build/asan.log; exit 1; }
	@git ls-files 'common/*.c' 'codecs/*.c' 'capture/*.c' 'storage/*.c' 'engine/*.c' 'ctl/*.c' | \
	    xargs -r -P $(JOBS) -n 4 clang-tidy-14 --quiet -p build/asan

clean: ## remove everything that was built
	@rm -rf build

comma := ,

# Logs of the configure step live beside the builds.
build run test bench soak fuzz tidy: | build/.
build/.:
	@mkdir -p build
