#include "app/batch/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include "app/batch/host_name.h"
#include "base/error.h"

namespace bitreel {

FolderLock FolderLock::take(const std::filesystem::path& folder, Shard shard) {
  FolderLock lock;
  const bool whole = shard.count == 1;
  lock.lock(folder / ".batch.lock", whole ? Share::with_none : Share::with_other_shards);
  if (!whole) lock.lock(folder / fmt::format(".batch.{}.lock", name_of(shard)), Share::with_none);
  return lock;
}

FolderLock::~FolderLock() {
  for (const int descriptor : descriptors_) close(descriptor);
}

void FolderLock::lock(const std::filesystem::path& file, Share share) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    throw Error(fmt::format("{}: cannot be opened: {}", file.string(), std::generic_category().message(errno)));
  }
  descriptors_.push_back(descriptor);
  const int kind = share == Share::with_none ? LOCK_EX : LOCK_SH;
  if (flock(descriptor, kind | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      throw Error(fmt::format("{}: cannot be locked: {}", file.string(), std::generic_category().message(errno)));
    }
    std::array<char, 512> holder{};
    const ssize_t size = pread(descriptor, holder.data(), holder.size() - 1, 0);
    throw Error(fmt::format("{}: another bitreel batch is at work there: {}", file.parent_path().string(),
                            size > 0 ? std::string(holder.data(), static_cast<std::size_t>(size)) : "(unnamed)"),
                "wait for it, or give this one another --output");
  }
  // One that many hold is named by the last of them.
  const std::string holder = fmt::format("process {} on {}", getpid(), host_name());
  [[maybe_unused]] const bool named =  // a full disk must not keep the batch from running: the lock itself holds
      ftruncate(descriptor, 0) == 0 && pwrite(descriptor, holder.data(), holder.size(), 0) > 0;
}

}  // namespace bitreel
