// The two checks of the C++ code in one source: an invariant must hold, a system call must not return a negative value.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bench/native/kvm_vm.hpp"
#include "slotlookup/native/structure.hpp"

namespace {

int failures = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "%s\n", what);
  ++failures;
}

template <class Error, class Call>
bool throws(Call&& call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  using namespace slotlookup;
  expect(!throws<BrokenInvariant>([] { require_invariant(true, "holds"); }), "a true invariant was refused");
  expect(throws<BrokenInvariant>([] { require_invariant(false, "does not hold"); }), "a false invariant passed");
  expect(!throws<KvmError>([] { require_syscall(0, "a call that returns 0"); }), "a successful call was refused");
  expect(require_syscall(7, "a call that returns 7") == 7, "the result of a call was lost");
  errno = ENOMEM;
  try {
    require_syscall(-1, "a call that fails");
    expect(false, "a failed call passed");
  } catch (const KvmError& error) {
    expect(error.code().value() == ENOMEM, "the errno of a failed call was lost");
    expect(std::strstr(error.what(), "a call that fails"), "what was tried was lost");
  }
  return failures;
}
