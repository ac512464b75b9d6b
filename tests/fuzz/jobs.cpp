// What bitreel batch reads; every job printed with the name of its clip, and read again: the same jobs.
#include <string>
#include <vector>

#include "app/batch/jobs_file.h"
#include "app/batch/output_names.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto printed_jobs = [&](const std::string& name, const std::string& text) {
    std::vector<Job> jobs = read_jobs(folder.write(name, text));
    name_outputs(jobs, folder.path() / "out");
    return jobs_yaml(jobs);
  };
  return fuzz::refused_or_read([&] {
    const std::string printed = printed_jobs("jobs.yaml", fuzz::text_of(data, size));
    if (printed_jobs("again.yaml", printed) != printed) std::abort();
  });
}
