# The commands of this project. `make` alone lists them.
SHELL := /bin/bash
JOBS  ?= $(shell nproc)

.PHONY: help run build test bench lint fmt tidy asan tsan fuzz nightly clean install docs

help: ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: build ## install what is missing, build, and start weir with a sample configuration
	@scripts/run

build: ## build the daemon: build/release/weir
	@scripts/deps run
	@cmake --preset release $(if $(V),,>/dev/null)
	@cmake --build --preset release -j $(JOBS)

test: ## install what the tests need, build and run them all
	@scripts/deps run test
	@scripts/tools test
	@scripts/ctest dev

asan: ## the whole suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps run test lint
	@scripts/tools test
	@scripts/ctest asan

tsan: ## the whole suite under ThreadSanitizer
	@scripts/deps run test lint
	@scripts/tools test
	@scripts/ctest tsan

bench: ## run every benchmark and write bench/RESULTS.md
	@scripts/deps run bench
	@scripts/tools bench
	@cmake --preset bench >/dev/null
	@cmake --build --preset bench -j $(JOBS)
	@bench/run

lint: ## check the format and run clang-tidy
	@scripts/deps run test lint
	@scripts/format --check
	@scripts/tidy

fmt: ## format all sources in place
	@scripts/deps lint
	@scripts/format

fuzz: ## run every fuzzer for FUZZ_SECONDS (default 60)
	@scripts/deps run lint
	@scripts/fuzz $${FUZZ_SECONDS:-60}

nightly: ## what takes hours: every test three times, a soak, long fuzzing
	@scripts/deps run test lint
	@scripts/tools test
	@scripts/nightly

docs: build ## write the generated pages and pictures of docs/ again
	@scripts/docs

install: build ## install the library, headers and daemon under PREFIX (default /usr/local)
	@cmake --install build/release --prefix $${PREFIX:-/usr/local}

clean: ## remove what was built
	@rm -rf build
