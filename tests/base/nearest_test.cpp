#include "base/nearest.h"

#include <gtest/gtest.h>

namespace bitreel {
namespace {

const std::vector<std::string> known = {"transformer", "vae", "text_encoder", "tokenizer"};

TEST(Nearest, FindsTheNameWithTheFewestEdits) {
  EXPECT_EQ(nearest("transfomer", known), "transformer");
  EXPECT_EQ(nearest("txet_encoder", known), "text_encoder");
  EXPECT_EQ(nearest("tokeniser", known), "tokenizer");
  EXPECT_EQ(nearest("vea", {"vae", "vee"}), "vee") << "a swap is two edits, a replacement one";
  EXPECT_EQ(nearest("vae", known), "vae");
}

TEST(Nearest, SaysNothingWhenNothingIsClose) {
  EXPECT_EQ(nearest("scheduler", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest("vae", {}), "");
  EXPECT_EQ(nearest(std::string(16 << 20, 'v'), {"vae"}), "") << "and says it soon";
}

}  // namespace
}  // namespace bitreel
