// Invalidation of absent pages: madvise(MADV_DONTNEED), which calls every MMU notifier of this process for each range.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bench/native/kvm_vm.hpp"

namespace slotlookup {

// Advises ranges of this process. If the kernel accepts many ranges in one call (process_madvise of the own process,
// Linux 6.13 and later), the cost of the call per range is small.
class Adviser {
 public:
  static constexpr std::size_t kBatch = 1024;                       // UIO_MAXIOV: a longer list is refused
  static constexpr std::size_t kBatchBytes = std::size_t{1} << 30;  // the kernel truncates a list before 2 GiB

  // Tests with `bytes` absent bytes at `start` whether the kernel accepts ranges in batches.
  Adviser(char* start, std::size_t bytes) : self_(open_self()) {
    iovec probe{start, bytes};
    batched_ = self_.get() >= 0 && advise({&probe, 1}) == static_cast<ssize_t>(bytes);
  }
  bool batched() const { return batched_; }

  // Throws KvmError if the kernel refuses a range or accepts only a part.
  void drop(std::span<const iovec> ranges) const {
    if (!batched_) {
      for (const iovec& range : ranges) {
        require_syscall(madvise(range.iov_base, range.iov_len, MADV_DONTNEED), "madvise(MADV_DONTNEED)");
      }
      return;
    }
    for (std::size_t done = 0; done < ranges.size();) {
      std::size_t now = 0;
      std::size_t bytes = 0;
      while (done + now < ranges.size() && now < kBatch &&
             (now == 0 || bytes + ranges[done + now].iov_len <= kBatchBytes)) {
        bytes += ranges[done + now++].iov_len;
      }
      const ssize_t taken = require_syscall(advise(ranges.subspan(done, now)), "process_madvise(MADV_DONTNEED)");
      if (taken != static_cast<ssize_t>(bytes)) throw KvmError("process_madvise stopped half way", EIO);
      done += now;
    }
  }

 private:
  static int open_self() {
#ifdef SYS_pidfd_open
    return static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
#else
    return -1;
#endif
  }
  ssize_t advise(std::span<const iovec> ranges) const {
#ifdef SYS_process_madvise
    return syscall(SYS_process_madvise, self_.get(), ranges.data(), ranges.size(), MADV_DONTNEED, 0);
#else
    (void)ranges;
    errno = ENOSYS;
    return -1;
#endif
  }

  FileDescriptor self_;
  bool batched_ = false;
};

}  // namespace slotlookup
