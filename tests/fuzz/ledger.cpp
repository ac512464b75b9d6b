// A batch's ledger: read, mended, written on and read again. Nothing is lost but a torn last line.
#include "app/batch/ledger.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto file = folder.write("ledger.jsonl", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    const LedgerLines before = read_ledgers(folder.path());
    const History history(before.lines);
    for (const LedgerLine& line : before.lines) {
      if (history.attempts(line.key) < line.attempt) std::abort();
    }
    Ledger::open(file).append({.key = "k", .output = "k.mp4"});
    const LedgerLines after = read_ledgers(folder.path());
    if (after.lines.size() != before.lines.size() + 1 || after.warnings != before.warnings) std::abort();
    if (History(after.lines).attempts("k") != std::max<std::int64_t>(history.attempts("k"), 1)) std::abort();
  });
}
