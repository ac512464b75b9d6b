#include "pipelines/checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/partial.h"
#include "base/printable.h"

namespace bitreel {
namespace {

// The mappings of this process, where a signal handler can read them: fixed arrays, no locks. Names are kept as they
// are shown. A model has a few files, of which more than fit here go unnamed.
struct Slot {
  std::atomic_flag taken = ATOMIC_FLAG_INIT;
  std::atomic<const std::byte*> begin = nullptr;
  std::atomic<std::size_t> size = 0;
  std::atomic<int> descriptor = -1;
  std::array<char, 512> name{};

  // Where in the file this byte of memory lies, if it is one of this mapping.
  [[nodiscard]] std::optional<std::size_t> offset_of(const void* byte) const {
    const auto first = reinterpret_cast<std::uintptr_t>(begin.load(std::memory_order_acquire));
    const auto address = reinterpret_cast<std::uintptr_t>(byte);
    if (first == 0 || address < first || address - first >= size.load()) return std::nullopt;
    return address - first;
  }
};
std::array<Slot, 128> slots;

constexpr std::string_view cut_short = "the file was cut short, or its disk failed, while the program was reading it";
constexpr std::string_view what_to_do = "leave a model's files alone while it runs; download this one again";

void enter(const std::byte* begin, std::size_t size, int descriptor, const std::filesystem::path& path) {
  for (Slot& slot : slots) {
    if (slot.taken.test_and_set()) continue;
    const std::string name = printable(path.string());
    const std::size_t length = std::min(name.size(), slot.name.size() - 1);
    std::copy_n(name.data(), length, slot.name.data());
    slot.name.at(length) = '\0';
    slot.size.store(size);
    slot.descriptor.store(descriptor);
    slot.begin.store(begin, std::memory_order_release);
    return;
  }
}

void leave(const std::byte* begin) {
  for (Slot& slot : slots) {
    if (slot.begin.load() != begin) continue;
    slot.begin.store(nullptr);
    slot.taken.clear();
    return;
  }
}

void say(std::string_view text) {
  // Nothing can be done about a failed write here.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
}

// Only system calls are safe in here. Another thread may have been hit as well: the first one ends the process.
extern "C" void on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  for (const Slot& slot : slots) {
    if (!slot.offset_of(info->si_addr)) continue;
    static std::atomic_flag told = ATOMIC_FLAG_INIT;
    if (told.test_and_set()) {
      while (true) pause();
    }
    say("\nbitreel: ");
    say(slot.name.data());
    say(": ");
    say(cut_short);
    say("\n         ");
    say(what_to_do);
    say("\n");
    remove_partials_at_once();
    _exit(1);
  }
  std::signal(signal, SIG_DFL);  // not ours: it ends the process on return, as if nobody watched
  std::raise(signal);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  check_regular(path, "a safetensors file");
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) throw Error(fmt::format("{}: {}", path.string(), std::strerror(errno)));
  struct stat status {};
  const bool regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  size_ = regular ? static_cast<std::size_t>(status.st_size) : 0;
  void* mapped = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0) : MAP_FAILED;
  if (mapped == MAP_FAILED) ::close(descriptor_);
  if (!regular) throw Error(fmt::format("{}: not a file", path.string()));
  if (size_ == 0) throw Error(fmt::format("{}: the file is empty", path.string()), "download it again");
  if (mapped == MAP_FAILED) throw Error(fmt::format("{}: can't be mapped into memory", path.string()));
  data_ = static_cast<const std::byte*>(mapped);
  enter(data_, size_, descriptor_, path);
}

MappedFile::~MappedFile() {
  leave(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(descriptor_);
}

void MappedFile::let_go(const std::byte* begin, std::size_t size) const {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<std::size_t>(begin - data_);  // the file begins on a page
  const std::size_t first = (offset + page - 1) / page * page, end = (offset + size) / page * page;
  // Advice: where it is not taken the pages stay, and nothing else changes.
  if (first < end) ::madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
}

void watch_mapped_files() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

void copy_of_file(const std::byte* from, std::size_t size, std::byte* to) {
  for (const Slot& slot : slots) {
    const std::optional<std::size_t> offset = slot.offset_of(from);
    if (!offset) continue;
    for (std::size_t done = 0; done < size;) {
      const ssize_t read = ::pread(slot.descriptor, to + done, size - done, static_cast<off_t>(*offset + done));
      if (read < 0 && errno == EINTR) continue;
      if (read <= 0) throw Error(fmt::format("{}: {}", slot.name.data(), cut_short), std::string(what_to_do));
      done += static_cast<std::size_t>(read);
    }
    return;
  }
  std::memcpy(to, from, size);
}

}  // namespace bitreel
