// What happened to a batch's jobs, a line each, on the disk before anything else is done.
//
//   Ledger ledger = Ledger::open("out/ledger.jsonl");       // ledger.repair() says what a crash had left torn
//   ledger.append({.key = key, .state = JobState::started, .attempt = 1, .output = "star/7.mp4"});
//   const LedgerLines read = read_ledgers("out");           // every ledger in the folder
//   const History history(read.lines);
//   history.attempts(key);
//   history.done("star/7.mp4");
//
// JSON Lines, {"time", "key", "state": "started" | "done" | "failed", "attempt", "host", "pid", "output", "seconds",
// "bytes", "error"}; the last three where they mean something. Only ever appended to, each line in one write and then
// synchronised: after a crash at most the last line is torn, and is cut off at the next open(). A line that cannot be
// written whole (a full disk) is taken back and is an Error. Lines that make no sense are left and reported by number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitreel {

enum class JobState { started, done, failed };

struct LedgerLine {
  std::string time = {};  // UTC, to the millisecond; append() fills time, host and pid
  std::string key = {};
  JobState state = JobState::started;
  std::int64_t attempt = 1;  // of this key, from 1
  std::string host = {};
  std::int64_t pid = 0;
  std::string output = {};   // relative to the batch's folder
  double seconds = 0;        // of done and failed
  std::uintmax_t bytes = 0;  // of done: the clip's size
  std::string error = {};    // of failed
};

class Ledger {
 public:
  static Ledger open(const std::filesystem::path& file);
  ~Ledger();
  Ledger(Ledger&& other) noexcept;
  Ledger& operator=(Ledger&&) = delete;

  // The line as it was written.
  LedgerLine append(LedgerLine line);
  // What open() found torn and cut off, as a sentence; empty when there was nothing.
  [[nodiscard]] const std::string& repair() const { return repair_; }

 private:
  Ledger(std::filesystem::path file, int descriptor);

  std::filesystem::path file_;
  int descriptor_;
  std::string repair_;
};

struct LedgerLines {
  std::vector<LedgerLine> lines;      // of all ledgers, in the order of their times
  std::vector<std::string> warnings;  // lines that make no sense
};

// "ledger.jsonl", and "ledger.2-of-4.jsonl" of shards. A last line without its end is still being written, or torn: it
// is passed by.
LedgerLines read_ledgers(const std::filesystem::path& folder);

class History {
 public:
  explicit History(const std::vector<LedgerLine>& lines = {});
  void add(const LedgerLine& line);

  [[nodiscard]] std::int64_t attempts(const std::string& key) const;
  // The clip that was last finished under this name.
  [[nodiscard]] const LedgerLine* done(const std::string& output) const;
  // The job that was last begun under this name: whose unfinished work may lie beside it.
  [[nodiscard]] const LedgerLine* started(const std::string& output) const;
  // The last thing that happened to the key, when that is `failed`.
  [[nodiscard]] const LedgerLine* failed(const std::string& key) const;

 private:
  std::map<std::string, std::int64_t> attempts_;
  std::map<std::string, LedgerLine> done_, started_, last_;
};

}  // namespace bitreel
