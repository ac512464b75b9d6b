// One batch at a time in one folder: a lock that dies with the process that holds it, however it ends.
//
//   const FolderLock lock = FolderLock::take("out", {});                           // all of the folder
//   const FolderLock of_shard = FolderLock::take("out2", {.number = 2, .count = 4});   // beside other shards of it
//
// flock(2) on files in the folder, which stay behind without a meaning: whoever holds them is written into them for the
// error's sake only. Works on local disks, and on NFS as far as its server keeps locks.
// Errors: Error naming the holder's process and host.
#pragma once

#include <filesystem>
#include <vector>

#include "app/batch/shard.h"

namespace bitreel {

class FolderLock {
 public:
  static FolderLock take(const std::filesystem::path& folder, Shard shard);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept = default;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  FolderLock() = default;
  enum class Share { with_none, with_other_shards };
  void lock(const std::filesystem::path& file, Share share);

  std::vector<int> descriptors_;
};

}  // namespace bitreel
