#include "base/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace bitreel {
namespace {

std::string cannot_be_read(const std::string& why) {
  return "cannot be read: " + why;
}

std::string cannot_be_read(int code) {
  return cannot_be_read(std::generic_category().message(code));
}

std::string obstacle_in(const struct stat& status) {
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      return {};
    case S_IFDIR:
      return cannot_be_read("it is a folder");
    case S_IFIFO:
      return cannot_be_read("it is a FIFO");
    case S_IFSOCK:
      return cannot_be_read("it is a socket");
    default:
      return cannot_be_read("it is a device");
  }
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

std::string obstacle_to_reading(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return cannot_be_read(errno);
  return obstacle_in(status);
}

std::string read_into(std::string& bytes, const std::filesystem::path& path, const InputKind& kind) {
  if (std::string obstacle = obstacle_to_reading(path); !obstacle.empty()) return obstacle;
  // What takes the name between the two calls is not waited for either.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (file.number() < 0 || fstat(file.number(), &status) != 0) return cannot_be_read(errno);
  if (std::string obstacle = obstacle_in(status); !obstacle.empty()) return obstacle;
  // Files of /proc say 0 and hold more: what counts is what comes.
  constexpr std::size_t chunk = std::size_t{1} << 16;
  bytes.reserve(
      static_cast<std::size_t>(std::min<std::uintmax_t>(static_cast<std::uintmax_t>(status.st_size), kind.most_bytes)));
  while (true) {
    const std::size_t before = bytes.size();
    bytes.resize(before + chunk);
    const ssize_t got = read(file.number(), bytes.data() + before, chunk);
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return cannot_be_read(errno);
    if (got == 0) return {};
    if (bytes.size() > kind.most_bytes)
      return cannot_be_read(fmt::format("it is larger than {} bytes", kind.most_bytes));
  }
}

}  // namespace bitreel
