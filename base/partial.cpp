#include "base/partial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "base/error.h"

namespace bitreel {
namespace fs = std::filesystem;

namespace {

// What is not published now, where a signal handler can read it: fixed arrays, no locks.
struct Slot {
  std::atomic_flag taken = ATOMIC_FLAG_INIT;
  std::atomic<bool> filled = false;
  std::array<char, PATH_MAX> path{};
};
std::array<Slot, 16> slots;

// -1 when all are taken or the path is too long: then only its destructor removes it.
int enter(const fs::path& path) {
  const std::string& name = path.native();
  for (std::size_t i = 0; i < slots.size() && name.size() < PATH_MAX; ++i) {
    if (slots[i].taken.test_and_set()) continue;
    std::memcpy(slots[i].path.data(), name.c_str(), name.size() + 1);
    slots[i].filled.store(true, std::memory_order_release);
    return static_cast<int>(i);
  }
  return -1;
}

void leave(int slot) {
  if (slot < 0) return;
  slots[static_cast<std::size_t>(slot)].filled.store(false, std::memory_order_release);
  slots[static_cast<std::size_t>(slot)].taken.clear();
}

// As the kernel writes it; glibc's readdir() may not be called in a handler.
struct KernelEntry {
  std::uint64_t inode;
  std::int64_t next;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];  // NOLINT(modernize-avoid-c-arrays): and on to `length`
};

void remove_files_in(int folder) {
  alignas(KernelEntry) std::array<char, 8192> entries{};
  while (true) {
    const long bytes = syscall(SYS_getdents64, folder, entries.data(), entries.size());
    if (bytes <= 0) return;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const KernelEntry*>(entries.data() + at);
      unlinkat(folder, entry->name, 0);
      at += entry->length;
    }
  }
}

// NAME_MAX bytes at most, the number and the extension whole.
std::string name_beside(const fs::path& target) {
  const std::string end = fmt::format(".partial-{}{}", getpid(), target.extension().string());
  const std::size_t room = end.size() < NAME_MAX ? NAME_MAX - end.size() - 1 : 0;
  return fmt::format(".{}{}", target.stem().string().substr(0, room), end);
}

}  // namespace

// A link is followed, so that the rename replaces the file that it points to and not the link.
Partial::Partial(const fs::path& target)
    : target_(fs::is_symlink(target) ? fs::weakly_canonical(target) : target),
      path_(fs::path(target_).replace_filename(name_beside(target_))),
      slot_(enter(path_)) {}

Partial::~Partial() {
  std::error_code ignored;  // after publish() there is nothing to remove
  fs::remove_all(path_, ignored);
  leave(slot_);
}

void Partial::publish() const {
  rename_file(path_, target_);
}

void remove_partials_at_once() {
  constexpr int attempts = 10;  // another thread may be writing the next picture
  for (const Slot& slot : slots) {
    if (!slot.filled.load(std::memory_order_acquire)) continue;
    const char* path = slot.path.data();
    if (unlink(path) == 0) continue;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
      if (folder < 0) break;
      remove_files_in(folder);
      close(folder);
      if (rmdir(path) == 0) break;
    }
  }
}

void rename_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed) throw Error(fmt::format("{}: cannot be given its name: {}", to.string(), failed.message()));
}

void write_file(const fs::path& path, std::string_view bytes, const std::string& name) {
  write_file(path, std::vector{bytes}, name);
}

void write_file(const fs::path& path, const std::vector<std::string_view>& parts, const std::string& name) {
  const auto fail = [&] {
    throw Error(fmt::format("{}: cannot write: {}", name, std::generic_category().message(errno)));
  };
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file) fail();
  for (const std::string_view part : parts) {
    if (part.empty()) continue;  // of no address, which fwrite may not be given
    if (std::fwrite(part.data(), 1, part.size(), file.get()) != part.size()) fail();
  }
  if (std::fclose(file.release()) != 0) fail();  // what was buffered meets the disk only here
}

}  // namespace bitreel
