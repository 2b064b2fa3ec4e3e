#include "slotlookup/native/stack_limit.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>

namespace slotlookup {
namespace {

// Where the first access beyond the limit is. Below a stack the kernel keeps a gap of this size free; the limit is
// exact to a few pages, because the arguments of the process are part of the stack.
constexpr std::size_t kBelow = std::size_t{1} << 20;
constexpr std::size_t kAbove = std::size_t{64} << 10;

alignas(16) char handler_stack[std::size_t{64} << 10];  // the other one is used up when the handler runs
char words[96];
int word_bytes = 0;
std::uintptr_t end_of_stack = 0;  // its lowest address

// SA_RESETHAND: the signal that is raised here takes effect on return, by default, so the process ends as without this.
void on_fault(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const bool sent = info->si_code <= 0;  // by kill(), without an address
  if (!sent && address < end_of_stack + kAbove && address + kBelow >= end_of_stack) {
    [[maybe_unused]] const auto written = write(STDERR_FILENO, words, static_cast<std::size_t>(word_bytes));
  }
  raise(signal);
}

void check(int error) {
  if (error) throw std::system_error(error, std::generic_category(), "the stack cannot be limited");
}

}  // namespace

void limit_stack(std::size_t bytes) {
  rlimit limit;
  check(getrlimit(RLIMIT_STACK, &limit) ? errno : 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_cur, bytes);
  check(setrlimit(RLIMIT_STACK, &limit) ? errno : 0);

  pthread_attr_t attributes;
  check(pthread_getattr_np(pthread_self(), &attributes));
  void* lowest;
  std::size_t size;
  const int error = pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  check(error);
  end_of_stack = reinterpret_cast<std::uintptr_t>(lowest);
  word_bytes = std::snprintf(words, sizeof words, "\na recursion used up the stack of %llu MiB\n",
                             static_cast<unsigned long long>(limit.rlim_cur >> 20));

  const stack_t alternative = {handler_stack, 0, sizeof handler_stack};
  check(sigaltstack(&alternative, nullptr) ? errno : 0);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
  check(sigaction(SIGSEGV, &action, nullptr) ? errno : 0);
}

}  // namespace slotlookup
