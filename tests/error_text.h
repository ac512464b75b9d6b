// What an action complains of, to be matched with gmock.
//
//   EXPECT_THAT(error_text([&] { Weights::open(folder); }), HasSubstr("is missing"));
//   EXPECT_THAT(error_text<UsageError>([&] { check(request, config); }), AllOf(HasSubstr("--width 17"), HasSubstr("try
//   16")));
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <typeinfo>

#include "base/error.h"

namespace bitreel {

// The error's message and, on a second line, its hint. The test fails when there is none or its type is not exactly E.
template <class E = Error, class Action>
std::string error_text(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(typeid(error).name()), typeid(E).name()) << error.what();
    return error.what() + ("\n" + error.hint());
  }
  ADD_FAILURE() << "expected an error, there was none";
  return {};
}

}  // namespace bitreel
