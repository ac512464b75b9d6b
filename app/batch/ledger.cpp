#include "app/batch/ledger.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "app/batch/host_name.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> state_names = {"started", "done", "failed"};

std::string now() {
  using namespace std::chrono;
  const auto time = time_point_cast<milliseconds>(system_clock::now());
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(system_clock::to_time_t(time)),
                     time.time_since_epoch().count() % 1000);
}

[[noreturn]] void fail(const fs::path& file, const char* what) {
  throw Error(fmt::format("{}: {}: {}", file.string(), what, std::generic_category().message(errno)),
              "what is done stays done; run the same command again once that is mended");
}

std::string to_text(const LedgerLine& line) {
  ordered_json json = {
      {"time", line.time},       {"key", line.key},   {"state", state_names.at(static_cast<std::size_t>(line.state))},
      {"attempt", line.attempt}, {"host", line.host}, {"pid", line.pid},
      {"output", line.output}};
  if (line.state != JobState::started) json["seconds"] = line.seconds;
  if (line.state == JobState::done) json["bytes"] = line.bytes;
  if (line.state == JobState::failed) json["error"] = line.error;
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

bool is_count(const ordered_json& number) {
  return number.is_number_integer() && number >= 0 && number < std::int64_t{1} << 53;
}

std::optional<LedgerLine> from_text(const std::string& text) {
  const auto json = parse_json_if_any<ordered_json>(text);
  if (!json.is_object()) return std::nullopt;
  try {
    const auto state = std::ranges::find(state_names, json.at("state").get<std::string>());
    if (state == state_names.end()) return std::nullopt;
    for (const char* number : {"attempt", "pid", "bytes"}) {  // what is compared and counted on from
      if (json.contains(number) && !is_count(json[number])) return std::nullopt;
    }
    return LedgerLine{.time = json.at("time"),
                      .key = json.at("key"),
                      .state = static_cast<JobState>(state - state_names.begin()),
                      .attempt = json.at("attempt"),
                      .host = json.value("host", ""),
                      .pid = json.value("pid", std::int64_t{0}),
                      .output = json.at("output"),
                      .seconds = json.value("seconds", 0.0),
                      .bytes = json.value("bytes", std::uintmax_t{0}),
                      .error = json.value("error", "")};
  } catch (const ordered_json::exception&) {  // a key that is missing or of another kind: the caller tells the line
    return std::nullopt;
  }
}

std::string text_of(const fs::path& file) {
  return read_file(file, {.expected = "a ledger", .most_bytes = std::uintmax_t{4} << 30});
}

bool is_ledger(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.starts_with("ledger.") && name.ends_with("jsonl");
}

}  // namespace

Ledger::Ledger(fs::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}

Ledger::Ledger(Ledger&& other) noexcept
    : file_(std::move(other.file_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      repair_(std::move(other.repair_)) {}

Ledger::~Ledger() {
  if (descriptor_ >= 0) close(descriptor_);
}

Ledger Ledger::open(const fs::path& file) {
  if (fs::exists(file)) check_regular(file, "a ledger");
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) fail(file, "cannot be opened");
  Ledger ledger(file, descriptor);
  const std::string text = text_of(file);
  const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (whole == text.size()) return ledger;
  if (ftruncate(descriptor, static_cast<off_t>(whole)) != 0 || fsync(descriptor) != 0) fail(file, "cannot be repaired");
  ledger.repair_ = fmt::format("{}: a crash had left {} bytes of a line at its end; they are cut off, nothing is lost",
                               file.string(), text.size() - whole);
  return ledger;
}

LedgerLine Ledger::append(LedgerLine line) {
  line.time = now();
  line.host = host_name();
  line.pid = getpid();
  const std::string text = to_text(line);
  struct stat before {};
  if (fstat(descriptor_, &before) != 0) fail(file_, "cannot be written");
  const ssize_t written = write(descriptor_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size()) && fdatasync(descriptor_) == 0) return line;
  const int reason = written >= 0 && written < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
  [[maybe_unused]] const int taken_back = ftruncate(descriptor_, before.st_size);  // else the next open() repairs it
  errno = reason;
  fail(file_, "cannot be written");
}

LedgerLines read_ledgers(const fs::path& folder) {
  LedgerLines read;
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return read;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_ledger(entry.path())) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (const fs::path& file : files) {
    const std::string text = text_of(file);
    std::size_t number = 0;
    for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      ++number;
      if (const auto line = from_text(text.substr(begin, end - begin))) {
        read.lines.push_back(*line);
      } else {
        read.warnings.push_back(fmt::format(
            "{}:{}: no line of a ledger, passed by; a job that it told of may run again", file.string(), number));
      }
    }
  }
  std::ranges::stable_sort(read.lines, {}, &LedgerLine::time);
  return read;
}

History::History(const std::vector<LedgerLine>& lines) {
  for (const LedgerLine& line : lines) add(line);
}

void History::add(const LedgerLine& line) {
  std::int64_t& attempts = attempts_[line.key];
  attempts = std::max(attempts, line.attempt);
  last_[line.key] = line;
  if (line.state == JobState::done) done_[line.output] = line;
  if (line.state == JobState::started) started_[line.output] = line;
}

std::int64_t History::attempts(const std::string& key) const {
  const auto found = attempts_.find(key);
  return found == attempts_.end() ? 0 : found->second;
}

const LedgerLine* History::done(const std::string& output) const {
  const auto found = done_.find(output);
  return found == done_.end() ? nullptr : &found->second;
}

const LedgerLine* History::started(const std::string& output) const {
  const auto found = started_.find(output);
  return found == started_.end() ? nullptr : &found->second;
}

const LedgerLine* History::failed(const std::string& key) const {
  const auto found = last_.find(key);
  return found == last_.end() || found->second.state != JobState::failed ? nullptr : &found->second;
}

}  // namespace bitreel
