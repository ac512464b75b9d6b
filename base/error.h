// The one error type. Libraries throw it, main() prints it. Caught in between only to say more, or where work goes on.
//
//   throw Error(fmt::format("`num_frames` {}: this model makes 8n+1 frames", n), "try 41 or 49");
//
// What, got, expected; the hint says what to try. Backquotes mark fields: people see flags (app/flag_names.h).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace bitreel {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = {})
      : std::runtime_error(message), hint_(std::move(hint)) {}
  [[nodiscard]] const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

// The command line or a configuration asks for something that makes no sense: exit code 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace bitreel
