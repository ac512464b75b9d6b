#include "base/partial.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "base/error.h"

namespace bitreel {
namespace fs = std::filesystem;

// A link is followed, so that the rename replaces the file that it points to and not the link.
Partial::Partial(const fs::path& target) : target_(fs::is_symlink(target) ? fs::weakly_canonical(target) : target) {
  path_ = fs::path(target_).replace_filename(
      fmt::format(".{}.partial-{}{}", target_.stem().string(), getpid(), target_.extension().string()));
}

Partial::~Partial() {
  std::error_code ignored;  // after publish() there is nothing to remove
  fs::remove_all(path_, ignored);
}

void Partial::publish() const {
  rename_file(path_, target_);
}

void rename_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed) throw Error(fmt::format("{}: cannot be given its name: {}", to.string(), failed.message()));
}

void write_file(const fs::path& path, std::string_view bytes, const std::string& name) {
  const auto fail = [&] {
    throw Error(fmt::format("{}: cannot write: {}", name, std::generic_category().message(errno)));
  };
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file) fail();
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) fail();
  if (std::fclose(file.release()) != 0) fail();  // what was buffered meets the disk only here
}

}  // namespace bitreel
