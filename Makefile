# Everything below makes its own environment in .venv, which belongs to this Makefile: it is thrown away and made again
# when it is of another Python (set PYTHON to choose one), of another checkout, or left over from an interrupted install.
# Asked for: Python 3.11 or later with venv, and a C++20 compiler. The rest comes from the package index.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=

# What each purpose installs is told by a stamp of its own, so that `make run` needs no test tools.
MADE := $(VENV)/.made
RUN := $(VENV)/.run
TEST := $(VENV)/.test
LINT := $(VENV)/.lint
# Holds the process id of the make that installs. Left behind, it says that an install was interrupted.
INSTALLING := $(VENV)/.installing

NATIVE := $(sort $(wildcard slotlookup/include/*.h slotlookup/native/*.?pp slotlookup/native/structures/*.?pp \
  strategies/native/*.?pp bench/native/*.?pp bench/native/*/*.?pp bench/native/rivals/packaged/*.?pp))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
PIP := $(BIN)/python -m pip --quiet

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test test-builds lint sanitize fuzz kernel-rules bench bench-short clean FORCE

help:
	@echo "make run       build, then compare the structures (ARGS='--slots 64' and so on are passed on)"
	@echo "make test      build, then run the tests (ARGS='-k name' and so on are passed on)"
	@echo "make test-builds  the tests that compile the native code anew or build distributions"
	@echo "make lint      check style and types of Python and C++"
	@echo "make sanitize  run the native tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make fuzz      import damaged recordings for FUZZ_SECONDS (600)"
	@echo "make kernel-rules  compare the slot rules with the running kernel's (ARGS='--changes 100000 --seed 2')"
	@echo "make bench     time with pytest-benchmark"
	@echo "make bench-short  those benchmarks that no clock decides: counts, bytes, identical work"
	@echo "make clean     remove what the above made"

run: $(RUN)
	@$(BIN)/slotlookup run $(ARGS)

# Files are dealt out whole, because what a fixture made serves a whole file.
PYTEST := $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
test: $(TEST) $(RUN)
	@XDG_CACHE_HOME=$(CURDIR)/build/cache $(PYTEST) -m "not builds" $(ARGS)

test-builds: $(TEST) $(RUN)
	@$(PYTEST) -m builds $(ARGS)

# mypy sees the folders under the names they install as, in a tree of links made anew each time.
TYPED := build/typed
lint: $(LINT) $(TEST) $(RUN)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	@rm -rf $(TYPED) && mkdir -p $(TYPED)/slotlookup
	@ln -s $(addprefix ../../../,$(wildcard slotlookup/*.py*) $(patsubst %/__init__.py,%,$(wildcard slotlookup/*/__init__.py)) strategies workloads bench) $(TYPED)/slotlookup
	@MYPYPATH=$(TYPED) $(BIN)/mypy --cache-dir .mypy_cache/make $(TYPED)/slotlookup tests >$(TYPED)/report; code=$$?; \
	  sed -e 's,^$(TYPED)/slotlookup/\(strategies\|workloads\|bench\)/,\1/,' -e 's,^$(TYPED)/,,' $(TYPED)/report; exit $$code

sanitize: $(TEST) $(RUN)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/sanitize.sh $(ARGS)

fuzz: $(TEST) $(RUN)
	@$(BIN)/python tests/fuzz_importers.py

# Exits with 1 if the kernel and the rules disagree, and with 0 and the reason where /dev/kvm cannot be used.
kernel-rules: $(RUN)
	@$(BIN)/python tests/kernel_rules.py $(ARGS)

bench: $(TEST) $(RUN)
	@$(BIN)/pytest bench/suites $(ARGS)

# Without pytest-benchmark's own repetitions: nothing here is decided by how long something takes.
bench-short: $(TEST) $(RUN)
	@$(BIN)/pytest bench/suites -m short --benchmark-disable $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks

# The checks below answer with nothing where all is well, and otherwise with the one line that make stops with. They come
# before anything is made. Make joins the lines of a check into one.

# Answers "use PATH", or with the problem.
define find_python
PYTHON='$(PYTHON)'; found=;
for python in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  version=$$("$$python" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue;
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then break; fi;
  test -n "$$found" || found="$$python is $$version";
  version=;
done;
if test -z "$$version"; then
  test -z "$$PYTHON" || found=$${found:-$$PYTHON does not run};
  echo "slotlookup needs Python 3.11 or later; $${found:-there is no python3 on the PATH}." \
       "Set PYTHON=/path/to/python3.11 or later";
elif ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "slotlookup needs the venv and ensurepip modules; $$python ($$version) lacks them. Install them" \
       "(Debian and Ubuntu: apt install python3-venv) or set PYTHON=/path/to/another/python";
elif ! "$$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
  echo "slotlookup needs Python.h to build its native module; $$python ($$version) lacks it. Install it" \
       "(Debian and Ubuntu: apt install python3-dev) or set PYTHON=/path/to/another/python";
else
  "$$python" -c 'import sys; print("use", sys.executable)';
fi;
endef

# In the order in which CMake looks.
define compiler_problem
CXX='$(if $(filter default,$(origin CXX)),,$(CXX))'; found=;
if test -n "$$CXX"; then
  compiler=$$CXX;
  command -v $${CXX%% *} >/dev/null 2>&1 || { compiler=; found="$$CXX does not run"; };
else
  for compiler in c++ g++ clang++ ''; do command -v "$$compiler" >/dev/null 2>&1 && break; done;
fi;
if test -z "$$compiler"; then
  echo "slotlookup needs a C++20 compiler; $${found:-there is no c++, g++ or clang++ on the PATH}. Install one" \
       "(Debian and Ubuntu: apt install g++) or set CXX=/path/to/compiler";
elif ! printf '%s\n' '#include <concepts>' 'template <std::integral T> T f(T x) { return x; }' \
    'int main() { return f(0); }' | $$compiler -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1; then
  version=$$($$compiler -dumpfullversion -dumpversion 2>/dev/null | head -n 1);
  echo "slotlookup needs a C++20 compiler; $$compiler$${version:+ is $$version and} does not compile C++20. Install a" \
       "newer one (g++ 11 or clang++ 14 will do) or set CXX=/path/to/compiler";
fi;
endef

# Answers "whole" for an environment that is finished, of this checkout, of the Python asked for, and runs.
identity := import os, sys; print(os.getcwd(), os.path.realpath(sys.executable), sys.version_info[:2])
define state
PYTHON='$(PYTHON)'; found=;
if test -f $(MADE) && test ! -e $(INSTALLING) && is=$$($(BIN)/python -c '$(identity)' 2>/dev/null) &&
   test "$$(cat $(MADE))" = "$$is" && { test -z "$$PYTHON" || test "$$($$PYTHON -c '$(identity)' 2>/dev/null)" = "$$is"; };
then echo whole; fi;
endef

define other_make
if test -e $(INSTALLING) && kill -0 "$$(cat $(INSTALLING))" 2>/dev/null; then
  echo "another make (process $$(cat $(INSTALLING))) is installing into $(VENV); wait for it and try again";
fi;
endef

stop_if = $(if $(strip $(1)),$(error $(strip $(1))))

ifneq ($(filter run test test-builds lint sanitize fuzz bench bench-short $(VENV)%,$(MAKECMDGOALS)),)
  ifneq ($(shell $(state)),whole)
    $(call stop_if,$(shell $(other_make)))
    $(MADE) $(RUN) $(TEST) $(LINT): FORCE
  endif
  # A source that is gone makes no file newer.
  ifneq ($(strip $(shell cat $(VENV)/.sources 2>/dev/null)),$(strip $(NATIVE)))
    $(RUN): FORCE
  endif
endif

$(MADE):
	$(eval python := $(shell $(find_python)))
	$(if $(filter use,$(firstword $(python))),,$(error $(python)))
	$(call stop_if,$(shell $(compiler_problem)))
	@echo "make: making $(VENV) with $(wordlist 2,99,$(python))" >&2
	@rm -rf $(VENV)
	@'$(wordlist 2,99,$(python))' -m venv $(VENV)
	@$(BIN)/python -c '$(identity)' >$@.part
	@mv $@.part $@

# pip can only install what a project requires together with the project, which is built without isolation here.
requirements = $(BIN)/python -c 'import functools, sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
  [print(*functools.reduce(dict.get, key.split(), project), sep="\n") for key in sys.argv[1:]]'

$(RUN): pyproject.toml CMakeLists.txt $(NATIVE) | $(MADE)
	$(call stop_if,$(shell $(compiler_problem)))
	@echo "make: building slotlookup" >&2
	@echo $$PPID >$(INSTALLING)
	@$(requirements) "build-system requires" >$(VENV)/.requirements
	@# CMake and ninja of the machine serve where they are there and new enough.
	@cmake --version 2>/dev/null | awk '/^cmake version/ { split($$3, v, "."); fit = v[1] > 3 || v[1] == 3 && v[2] >= 20 } \
	  END { exit !fit }' || echo 'cmake>=3.20' >>$(VENV)/.requirements
	@command -v ninja >/dev/null 2>&1 || echo ninja >>$(VENV)/.requirements
	@$(PIP) install -r $(VENV)/.requirements
	@# What the build does not need is installed while it runs.
	@$(requirements) "project dependencies" "project optional-dependencies plot" >$(VENV)/.requirements
	@$(PIP) install -r $(VENV)/.requirements & beside=$$!; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --no-build-isolation --no-deps --editable .; built=$$?; \
	  wait $$beside && exit $$built
	@# Where mypy finds it: it takes no stub of a single module from site-packages.
	@mkdir -p build/stubs && cp $(VENV)/lib/python*/site-packages/_slotlookup_native.pyi build/stubs
	@echo $(NATIVE) >$(VENV)/.sources
	@rm $(INSTALLING)
	@touch $@

$(TEST) $(LINT): pyproject.toml | $(RUN)
	@echo "make: installing the $(subst .,,$(@F)) tools" >&2
	@echo $$PPID >$(INSTALLING)
	@$(requirements) "project optional-dependencies $(subst .,,$(@F))" >$(VENV)/.requirements
	@$(PIP) install -r $(VENV)/.requirements
	@rm $(INSTALLING)
	@touch $@
