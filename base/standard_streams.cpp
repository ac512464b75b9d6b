#include "base/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <system_error>

namespace bitreel {
namespace {

int first_error = 0;  // of standard output

// Of a pipe: whether nobody will ever read it.
bool reader_left() {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

}  // namespace

void ready_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. An output opened for reading refuses what is written.
    [[maybe_unused]] const int taken = open("/dev/null", O_RDONLY);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

void print_error(std::string_view text) {
  [[maybe_unused]] const std::size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void print_output(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && first_error == 0) first_error = errno;
}

void flush_output() {
  if (std::fflush(stdout) != 0 && first_error == 0) first_error = errno;
}

OutputEnd end_output() {
  flush_output();
  if (first_error == 0 && std::ferror(stdout) == 0) return {};
  if (first_error == EPIPE || reader_left()) return {.outcome = OutputEnd::Outcome::reader_left, .reason = {}};
  return {.outcome = OutputEnd::Outcome::failed,
          .reason = first_error == 0 ? "a write failed" : std::generic_category().message(first_error)};
}

}  // namespace bitreel
