// Standard output and error, as a long-running program has to treat them: a terminal that goes away, a pipe whose
// reader left or a full disk must neither abort the work nor go unnoticed.
//
//   ready_standard_streams();                    // first thing in main()
//   print_error("bitreel: warning: ...\n");      // failures are ignored: there is nowhere to tell of them
//   print_output(printable_lines(report));       // failures are kept ...
//   const OutputEnd end = end_output();          // ... and told at the end of the program
//
// print_output also keeps what fmt::print(stdout) and std::cout did not get out.
#pragma once

#include <string>
#include <string_view>

namespace bitreel {

// Closed streams are taken by the null device, or the first file that is opened would be written as one of them;
// writing to a closed output still fails. SIGPIPE becomes a failed write.
void ready_standard_streams();

void print_error(std::string_view text);
void print_output(std::string_view text);
void flush_output();  // so that a program that reads it has this line now

struct OutputEnd {
  enum class Outcome { whole, reader_left, failed };
  Outcome outcome = Outcome::whole;
  std::string reason;  // of a failure
};

// Flushes standard output.
OutputEnd end_output();

}  // namespace bitreel
