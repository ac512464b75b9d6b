#include "tests/app/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>

namespace bitreel::test {
namespace {

// A program that writes more than this waits until it is read: one that is to be signalled after a line of its JSON
// events can't be many steps ahead of that line, however busy the machine is.
constexpr int pipe_bytes = 4096;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read_end = ends[0];
    write_end = ends[1];
    fcntl(write_end, F_SETPIPE_SZ, pipe_bytes);
  }
};

// In the child, between fork and exec.
[[noreturn]] void become_bitreel(const std::vector<std::string>& arguments, const ProgramOptions& options,
                                 const Pipe& out, const Pipe& err) {
  dup2(out.write_end, STDOUT_FILENO);
  dup2(err.write_end, STDERR_FILENO);
  if (options.file_size_limit) {
    const rlimit limit{.rlim_cur = *options.file_size_limit, .rlim_max = *options.file_size_limit};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  if (options.in_child) options.in_child();
  std::vector<char*> argv;
  std::string program = options.program.empty() ? BITREEL_BINARY : options.program;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(127);
}

// Appends what can be read; false at the end of the stream.
bool drain(int descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t count = read(descriptor, buffer.data(), buffer.size());
  if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace

std::string step_event(const std::string& phase, int step) {
  return "\"phase\":\"" + phase + "\",\"step\":" + std::to_string(step) + ",";
}

Outcome run_bitreel(const std::vector<std::string>& arguments, const ProgramOptions& options) {
  const Pipe out;
  const Pipe err;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no fork");
  if (child == 0) become_bitreel(arguments, options, out, err);
  close(out.write_end);
  close(err.write_end);
  Outcome outcome;
  bool signalled = options.signal == 0;
  std::string again = options.signal_again_after;
  std::array<pollfd, 2> streams = {
      {{.fd = out.read_end, .events = POLLIN, .revents = 0}, {.fd = err.read_end, .events = POLLIN, .revents = 0}}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    poll(streams.data(), streams.size(), -1);
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (streams[i].fd < 0 || streams[i].revents == 0) continue;
      if (!drain(streams[i].fd, i == 0 ? outcome.out : outcome.err)) {
        close(streams[i].fd);
        streams[i].fd = -1;
      }
    }
    const auto said = [&](const std::string& text) {
      return (outcome.out + outcome.err).find(text) != std::string::npos;
    };
    if (signalled && !again.empty() && said(again)) {
      kill(child, options.signal);
      again.clear();
    }
    if (!signalled && said(options.signal_after)) {
      kill(child, options.signal);
      signalled = true;
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return outcome;
}

std::vector<std::string> quick_clip(const std::filesystem::path& output) {
  return {"generate", "--model", tiny_model, "--prompt", "a red circle", "--steps",      "2",
          "--seed",   "7",       "--device", "cpu",      "--output",     output.string()};
}

std::vector<std::string> operator+(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace bitreel::test
