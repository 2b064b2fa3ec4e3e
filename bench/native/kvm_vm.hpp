// A virtual machine under /dev/kvm: file descriptors, memory slots and vCPUs, without a guest.
//
// Refusals by the kernel are thrown as KvmError with errno and the attempted operation. Objects close their
// descriptors; vCPUs must be closed before their machine, so declare the machine first. Nothing here is thread-safe.
#pragma once

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

namespace slotlookup {

// code() is errno; what() begins with the attempted operation.
class KvmError : public std::system_error {
 public:
  KvmError(const std::string& tried, int error) : std::system_error(error, std::generic_category(), tried) {}
};

// Throws KvmError with the current errno where `result`, of a system call, is negative.
template <class Result>
Result require_syscall(Result result, const std::string& tried) {
  if (result < 0) throw KvmError(tried, errno);
  return result;
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Pages of this process, unmapped at the end.
class Mapping {
 public:
  // Anonymous private memory, whose pages exist once they are touched.
  static Mapping anonymous(std::size_t bytes) {
    return Mapping(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, "reserving memory for slots");
  }
  // The first `bytes` of a descriptor.
  static Mapping shared(std::size_t bytes, const FileDescriptor& fd, const std::string& tried) {
    return Mapping(bytes, MAP_SHARED, fd.get(), tried);
  }
  Mapping(Mapping&& other) noexcept : start_(std::exchange(other.start_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (start_) munmap(start_, bytes_);
  }
  char* start() const { return static_cast<char*>(start_); }
  std::size_t bytes() const { return bytes_; }
  std::uint64_t hva() const { return reinterpret_cast<std::uint64_t>(start_); }

 private:
  Mapping(std::size_t bytes, int flags, int fd, const std::string& tried) : bytes_(bytes) {
    start_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (start_ == MAP_FAILED) {
      start_ = nullptr;
      throw KvmError(tried, errno);
    }
  }
  void* start_ = nullptr;
  std::size_t bytes_;
};

// The device itself.
class KvmDevice {
 public:
  static constexpr const char* kPath = "/dev/kvm";

  explicit KvmDevice(const std::string& path = kPath)
      : path_(path), fd_(require_syscall(open(path.c_str(), O_RDWR | O_CLOEXEC), "opening " + path)) {
    const int version =
        require_syscall(ioctl(fd_.get(), KVM_GET_API_VERSION, 0), "asking " + path + " for its version");
    if (version != KVM_API_VERSION) throw KvmError(path + " speaks version " + std::to_string(version), ENOTSUP);
  }
  int fd() const { return fd_.get(); }

  // 0 if the kernel does not have the capability (KVM_CAP_*), otherwise its value.
  int capability(int which) const {
    return require_syscall(ioctl(fd_.get(), KVM_CHECK_EXTENSION, which), "asking " + path_ + " for a capability");
  }
  // The maximum number of slots of an address space.
  unsigned most_slots() const { return static_cast<unsigned>(capability(KVM_CAP_NR_MEMSLOTS)); }
  // Bytes of the area that a vCPU shares with user space.
  std::size_t run_bytes() const {
    return static_cast<std::size_t>(
        require_syscall(ioctl(fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0), "asking for a vCPU's page"));
  }

 private:
  std::string path_;
  FileDescriptor fd_;
};

// A virtual machine without vCPUs or memory. Slot numbers are as_id << 16 | id; addresses and sizes are in bytes.
class KvmVm {
 public:
  explicit KvmVm(const KvmDevice& device)
      : fd_(require_syscall(ioctl(device.fd(), KVM_CREATE_VM, 0), "creating a virtual machine")) {}
  int fd() const { return fd_.get(); }

  // KVM_SET_USER_MEMORY_REGION: creates the slot, or moves it or changes its flags if it exists; size 0 deletes it.
  void set_slot(std::uint32_t slot, std::uint32_t flags, std::uint64_t gpa, std::uint64_t size, std::uint64_t hva) {
    if (try_set_slot(slot, flags, gpa, size, hva)) {
      const int error = errno;
      throw KvmError("setting slot " + std::to_string(slot) + " of " + std::to_string(size) + " bytes at gpa " +
                         std::to_string(gpa),
                     error);
    }
  }
  void delete_slot(std::uint32_t slot) { set_slot(slot, 0, 0, 0, 0); }

  // The bare call for a clock: 0, or -1 with errno set.
  int try_set_slot(std::uint32_t slot, std::uint32_t flags, std::uint64_t gpa, std::uint64_t size,
                   std::uint64_t hva) const {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.flags = flags;
    region.guest_phys_addr = gpa;
    region.memory_size = size;
    region.userspace_addr = hva;
    return ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region);
  }

 private:
  FileDescriptor fd_;
};

#if defined(__x86_64__)
// Structures with a flexible array have another size and other offsets in C++ than in C, which also changes ioctl
// numbers. Declared here: the head of such a list, its ioctls, and a list of MSRs.
struct CountedHeader {
  std::uint32_t count = 0;
  std::uint32_t padding = 0;
};
template <std::size_t n>
struct MsrList : CountedHeader {
  kvm_msr_entry entries[n] = {};
};
inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CountedHeader);
inline constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, CountedHeader);
inline constexpr unsigned long kSetCpuid = _IOW(KVMIO, 0x90, CountedHeader);
#endif

// One virtual processor and the area that it shares with user space.
class KvmVcpu {
 public:
  KvmVcpu(const KvmDevice& device, const KvmVm& vm, unsigned id = 0)
      : fd_(require_syscall(ioctl(vm.fd(), KVM_CREATE_VCPU, id), "creating vCPU " + std::to_string(id))),
        page_(Mapping::shared(device.run_bytes(), fd_, "mapping the page of vCPU " + std::to_string(id))) {}
  int fd() const { return fd_.get(); }
  kvm_run& state() const { return *reinterpret_cast<kvm_run*>(page_.start()); }

  // Runs the guest until it exits to user space; state().exit_reason is the reason. False if a signal interrupted it.
  bool run() const {
    if (ioctl(fd_.get(), KVM_RUN, 0) == 0) return true;
    if (errno == EINTR || errno == EAGAIN) return false;
    throw KvmError("running a vCPU", errno);
  }

#if defined(__x86_64__)
  // Enables every CPUID feature that the kernel supports; without it no paravirtual MSR can be set.
  void set_supported_cpuid(const KvmDevice& device) const {
    struct : CountedHeader {
      kvm_cpuid_entry2 entries[256];
    } cpuid{};
    cpuid.count = std::size(cpuid.entries);
    require_syscall(ioctl(device.fd(), kGetSupportedCpuid, &cpuid), "asking for the supported CPUID");
    require_syscall(ioctl(fd_.get(), kSetCpuid, &cpuid), "setting a vCPU's CPUID");
  }
  kvm_regs registers() const {
    kvm_regs regs;
    require_syscall(ioctl(fd_.get(), KVM_GET_REGS, &regs), "reading a vCPU's registers");
    return regs;
  }
  void set_registers(const kvm_regs& regs) const {
    require_syscall(ioctl(fd_.get(), KVM_SET_REGS, &regs), "setting a vCPU's registers");
  }
  kvm_sregs special_registers() const {
    kvm_sregs sregs;
    require_syscall(ioctl(fd_.get(), KVM_GET_SREGS, &sregs), "reading a vCPU's special registers");
    return sregs;
  }
  void set_special_registers(const kvm_sregs& sregs) const {
    require_syscall(ioctl(fd_.get(), KVM_SET_SREGS, &sregs), "setting a vCPU's special registers");
  }
  // KVM_SET_MSRS: the number of entries set; fewer than requested if the kernel refused one.
  template <std::size_t n>
  int set_msrs(const MsrList<n>& msrs) const {
    return require_syscall(ioctl(fd_.get(), kSetMsrs, &msrs), "setting MSRs");
  }
#endif

 private:
  FileDescriptor fd_;
  Mapping page_;
};

}  // namespace slotlookup
