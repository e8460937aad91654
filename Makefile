# Wraps CMake, so that the usual words work; nothing is decided here. CMakePresets.json has the build flavours.
#   make         the programs, in build/bin            make demo    build, then the whole of RLHF in minutes
#   make test    what must hold, in minutes            make check   more of the same, in an hour or more
#   make bench   speeds beside the machine's limits    make deps    the Debian packages that building needs
#   make format  clang-format over all C files         make clean   removes build/
JOBS ?= $(shell nproc)
BUILD = cmake --build $(1) -j $(JOBS)
CTEST = ctest --output-on-failure -j $(JOBS)
CONFIGURE = cmake --log-level=WARNING --preset

.NOTPARALLEL:
.PHONY: all deps deps-test deps-check demo test check bench format clean tests-release tests-asan tests-clang

all: deps
	@[ -e build/CMakeCache.txt ] || $(CONFIGURE) release -DRLHF_TESTS=OFF
	$(call BUILD,build)

deps:
	@cmake/deps.sh build

deps-test:
	@cmake/deps.sh test

deps-check:
	@cmake/deps.sh check

demo: all
	build/bin/rlhf rounds configs/demo.yaml
	@echo "The report: $(CURDIR)/runs/demo/report.html"

# Three builds: gcc's release, whole; the core once more with sanitizers; all by clang with sanitizers for fuzzing,
# which also shows that clang has nothing to warn of.
tests-release: deps-test
	$(CONFIGURE) release -DRLHF_TESTS=ON
	$(call BUILD,build) --target all tests

tests-asan: deps-test
	$(CONFIGURE) asan
	$(call BUILD,build/asan) --target core_tests

tests-clang: deps-test
	$(CONFIGURE) clang
	$(call BUILD,build/clang) --target all fuzz

test: tests-release
	$(CTEST) --test-dir build
	@$(MAKE) --no-print-directory tests-asan
	$(CTEST) --test-dir build/asan -L core
	@$(MAKE) --no-print-directory tests-clang
	$(CTEST) --test-dir build/clang -L fuzz

# Everything under sanitizers, longer fuzzing, more kills, more seeds; more operations on the store.
check: export RLHF_STORE_OPERATIONS = 100000
check: export RLHF_STORE_KILLS = 200
check: export RLHF_KILLS = 200
check: export RLHF_FUZZ_SECONDS = 300
check: export RLHF_SEEDS = 10
check: deps-check test
	$(call BUILD,build/asan) --target all tests
	RLHF_KILLS=24 $(CTEST) --test-dir build/asan -LE "core|structure|seeds|memory"
	tests/structure/tidy.sh build/clang

bench: all
	@for program in build/bin/bench_*; do $$program || exit 1; done

format:
	find core datasets configs sft reward ppo rlhf tests bench -name '*.[ch]' -print0 | xargs -0 clang-format -i

clean:
	rm -rf build
