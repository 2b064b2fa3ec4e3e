#!/bin/sh
# Builds the native module with AddressSanitizer and UndefinedBehaviorSanitizer and runs the native tests with it.
# Arguments go to pytest. The Python, CMake and ninja are those on the PATH.
set -eu
cd "$(dirname "$0")/.."
build=$PWD/build/sanitize
python=$(python -c 'import sys; print(sys.executable)')

# Of the targets only the module: its stub is made by importing it, and it cannot be imported as plainly as that.
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSLOTLOOKUP_SANITIZE=ON -DPython_EXECUTABLE="$python" \
  -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" >"$build/configure.log" 2>&1 || {
  cat "$build/configure.log" >&2
  exit 1
}
cmake --build "$build" --target _slotlookup_native >"$build/build.log" 2>&1 || {
  cat "$build/build.log" >&2
  exit 1
}

# The interpreter is not built with the sanitizer, so the sanitizer's runtime has to be loaded before it. libstdc++ goes
# with it: the runtime looks for __cxa_throw when it starts, and an interpreter written in C brings none.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[^=]*=//p' "$build/CMakeCache.txt")
case $("$compiler" --version) in
  *clang*) asan=$("$compiler" -print-file-name="libclang_rt.asan-$(uname -m).so") ;;
  *) asan=$("$compiler" -print-file-name=libasan.so) ;;
esac
stdcxx=$("$compiler" -print-file-name=libstdc++.so)

# Leaks are not looked for: the interpreter and NumPy keep at exit what they allocated once, which drowns what is ours.
ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:strict_init_order=1
UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS UBSAN_OPTIONS

# An editable install finds the installed module before any path. So the one just built is loaded first, by its file.
LD_PRELOAD="$asan $stdcxx" exec "$python" - "$build" "$@" <<'EOP'
import ctypes
import importlib.util
import sys
from pathlib import Path

build = Path(sys.argv[1])
(file,) = build.glob("_slotlookup_native.*.so")
spec = importlib.util.spec_from_file_location("_slotlookup_native", file)
module = importlib.util.module_from_spec(spec)
sys.modules["_slotlookup_native"] = module
spec.loader.exec_module(module)

import slotlookup.families.native

used = slotlookup.families.native.native
if Path(used.__file__).parent != build or "-fsanitize=address,undefined" not in used.build()[1]:
    sys.exit(f"sanitize: the tests would run with {used.__file__}, which is not the sanitized module")
if not hasattr(ctypes.CDLL(None), "__asan_init"):
    sys.exit("sanitize: the AddressSanitizer runtime is not loaded")
print(f"sanitize: {used.__file__}", file=sys.stderr)

import pytest

files = [f"tests/test_{name}.py" for name in ("conformance", "counts", "arena_layout", "oracle")]
# Python structures run no native code of ours. A report goes past pytest to the terminal: the process ends with it.
options = ["-q", "-p", "no:cacheprovider", "--capture=sys", "-k", "not py-"]
sys.exit(pytest.main([*options, *files, *sys.argv[2:]]))
EOP
