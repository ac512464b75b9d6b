// Measurement files: written and read again, and everything that can be wrong in one.
#include "schedulers/precision/measurement_file.h"

#include <gmock/gmock.h>

#include "tests/error_text.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

MadeUp thirds() {
  return {.design = design_of(2, 3, {Precision::int8, Precision::int4}),
          .seconds = {{Precision::full, 0.03}, {Precision::int8, 0.01}, {Precision::int4, 0.02}},
          .errors =
              [](const CellKey& key, int prompt) {
                const double tiny = key.precision == Precision::int8 ? 1.0 / 3000 : 1.0 / 30;
                return CellError{.cosine = 1 - tiny * static_cast<double>(1 + key.layer),
                                 .relative_l1 = tiny * (1 + prompt),
                                 .rmse = tiny / 7 * static_cast<double>(key.step)};
              },
          .prompts = 3};
}

const std::string good = to_json(measure(thirds()));

// The good file with a part of it replaced.
std::string with(const std::string& part, const std::string& replacement) {
  const std::size_t at = good.find(part);
  EXPECT_NE(at, std::string::npos) << part;
  std::string changed = good;
  return changed.replace(at, part.size(), replacement);
}

TEST(MeasurementFile, IsReadBackAsItWasWritten) {
  MadeUp made = thirds();
  made.design.made_for.model = "a \"model\"\n\xC3\xA9";
  made.design.steps = {0, 2};
  made.design.heads = {1, 3};
  const Measurement measurement = measure(made);
  const std::string text = to_json(measurement);
  const Measurement back = measurement_from_json(text, "MEASURED.json");
  EXPECT_EQ(back.design(), measurement.design());
  EXPECT_EQ(back.prompts(), measurement.prompts());
  EXPECT_EQ(to_json(back), text);
  const CellKey key{.layer = 1, .step = 2, .precision = Precision::int4};
  EXPECT_EQ(back.cell(key).score.mean, measurement.cell(key).score.mean);
  EXPECT_NEAR(back.cell(key).score.deviation(), measurement.cell(key).score.deviation(), 1e-9);
  EXPECT_EQ(back.cell(key).rmse.worst, measurement.cell(key).rmse.worst);
  EXPECT_EQ(back.median_seconds(Precision::int4), 0.02);
}

TEST(MeasurementFile, CanBeGoneOnWithAfterAnyPrompt) {
  MadeUp first = thirds(), second = thirds();
  first.prompts = 1;
  second.first_prompt = 1;
  second.prompts = 2;
  second.seconds = {};
  Measurement resumed = measurement_from_json(to_json(measure(first)), "MEASURED.json");
  resumed.merge(measure(second), "MORE.json");
  const Measurement whole = measurement_from_json(good, "MEASURED.json");
  EXPECT_EQ(resumed.prompts(), whole.prompts());
  for (const std::int64_t layer : {0, 1}) {
    const CellKey key{.layer = layer, .step = 2, .precision = Precision::int4};
    EXPECT_NEAR(resumed.cell(key).score.mean, whole.cell(key).score.mean, 1e-15);
    EXPECT_NEAR(resumed.cell(key).score.deviation(), whole.cell(key).score.deviation(), 1e-9);
    EXPECT_EQ(resumed.cell(key).score.worst, whole.cell(key).score.worst);
    EXPECT_EQ(resumed.cell(key).score.count, 3U);
  }
}

TEST(MeasurementFile, IsNotWrittenWithoutPromptsOrTimes) {
  MadeUp none = thirds(), untimed = thirds();
  none.prompts = 0;
  untimed.seconds.erase(Precision::int4);
  EXPECT_THAT(error_text([&] { to_json(measure(none)); }), HasSubstr("without any prompt"));
  EXPECT_THAT(error_text([&] { to_json(measure(untimed)); }), HasSubstr("int4 was not timed"));
}

TEST(MeasurementFile, CutAnywhereIsAnErrorWithTheLine) {
  for (std::size_t bytes = 1; bytes + 2 < good.size(); bytes += 97) {
    const std::string complaint = error_text([&] { measurement_from_json(good.substr(0, bytes), "MEASURED.json"); });
    EXPECT_THAT(complaint, HasSubstr("MEASURED.json:")) << bytes;
    EXPECT_THAT(complaint, HasSubstr("ends in the middle")) << bytes;
  }
}

TEST(MeasurementFile, SaysWhatIsWrongAndWhere) {
  const std::string first_cell = good.substr(
      good.find("  {\"layer\": 0"), good.find("},\n", good.find("\"cells\"")) + 3 - good.find("  {\"layer\": 0"));
  struct Case {
    std::string json, complaint, hint;
  };
  const std::vector<Case> cases = {
      {"", "M.json:1: ends in the middle", "copy it again"},
      {"{\"bitreel_measurement\": 1,\n \"a\" 3}", "M.json:2: is no JSON here", ""},
      {"[]", "M.json: is no measurement", "bitreel calibrate"},
      {"{\"cells\": []}", "M.json: is no measurement", ""},
      {with("\"bitreel_measurement\": 1", "\"bitreel_measurement\": 2"), "M.json: bitreel_measurement is 2, expected 1",
       ""},
      {with("\"bitreel_measurement\": 1", "\"bitreel_measurement\": \"1\""), "expected a whole number", ""},
      {with(" \"device\": \"a device\",\n", ""), "M.json: has no device", ""},
      {with("\"device\": ", "\"devcie\": "), "M.json: has the unknown key devcie", "did you mean device?"},
      {with("\"device\": ", "\"device\": \"twice\", \"device\": "), "M.json: the key device is given twice", ""},
      {with("\"heads\": 4", "\"heads\": 4.5"), "M.json: shape.heads is 4.5, expected a whole number", ""},
      {with("\"keys\": 130", "\"keys\": 0"), "M.json: the shape of an attention call holds 0", ""},
      {with("\"layers\": 2", "\"layers\": -2"), "M.json: layers is -2, expected 1 to", ""},
      {with("[999, 666, 333]", "[999, 333, 666]"), "M.json: timestep 666 comes after 333", ""},
      {with("[999, 666, 333]", "[999, 666, \"333\"]"), "M.json: made_for.timesteps[2] is \"333\"", ""},
      {with("\"steps\": [0, 1, 2]", "\"steps\": [0, 1, 3]"), "M.json: 3 is among the sampled steps", ""},
      {with("[\"int8\", \"int4\"]", "[\"int8\", \"int5\"]"), "M.json: precisions[1]: \"int5\" is no precision",
       "did you mean int"},
      {with("[\"int8\", \"int4\"]", "[\"int8\", \"full\"]"), "M.json: full is among the precisions", ""},
      {with("\"seed\": 1}", "\"seed\": -1}"), "M.json: prompts[1].seed is -1, expected a whole number from 0", ""},
      {with("\"prompt 1\", \"seed\": 1", "\"prompt 0\", \"seed\": 0"), "M.json: prompts[1] repeats an earlier", ""},
      {with("  \"int4\": [0.02]", "  \"int4\": []"), "M.json: seconds.int4 is array, expected at least one time", ""},
      {with("  \"int4\": [0.02]", "  \"int4\": [0]"), "M.json: seconds.int4[0] is 0, expected seconds above 0", ""},
      {with(",\n  \"int4\": [0.02]", ""), "M.json: seconds has no int4", ""},
      {with("\"full\": [0.03]", "\"sage1-b\": [0.03]"), "M.json: seconds has the unknown key sage1-b", ""},
      {with(first_cell, ""), "M.json: cells: layer 0, step 0, int8 is missing", ""},
      {with(first_cell, first_cell + first_cell), "M.json: cells[1]: layer 0, step 0, int8 comes twice", ""},
      {with("{\"layer\": 1, \"step\": 2", "{\"layer\": 2, \"step\": 2"), "layer is 2, expected a sampled layer", ""},
      {with("\"cosine\": [0.", "\"cosine\": [null, 0."), "cosine is array, expected a mean", ""},
      {with("\"cosine\": [0.99", "\"cosine\": [1.99"), "M.json: cells[0].cosine[0] is 1.99", ""},
      {with("\"rmse\": [0, 0, 0]", "\"rmse\": [null, 0, 0]"), "M.json: cells[0].rmse[0] is null, expected a finite",
       ""},
      {with("\"rmse\": [0, 0, 0]", "\"rmse\": [1e999, 0, 0]"), "M.json: holds a number that is not finite", ""},
      {with("\"rmse\": [0, 0, 0]", "\"rmse\": [NaN, 0, 0]"), "is no JSON here", ""},
      {with("\"rmse\": [0, 0, 0]", "\"rmse\": [0, -1, 0]"), "M.json: cells[0].rmse[1] is -1, expected a deviation", ""},
      {with("\"rmse\": [0, 0, 0]", "\"rmse\": [2, 0, 1]"), "cells[0].rmse[2] is 1, expected a worst value", ""},
      {with("\"rmse\": [0, 0, 0]", "\"rsme\": [0, 0, 0]"), "cells[0] has the unknown key rsme",
       "its keys are layer, step"},
  };
  for (const Case& c : cases)
    EXPECT_THAT(error_text([&] { measurement_from_json(c.json, "M.json"); }),
                AllOf(HasSubstr(c.complaint), HasSubstr(c.hint)));
}

TEST(MeasurementFile, ThatIsNotThereIsNamed) {
  EXPECT_THAT(error_text([] { read_measurement("no/such.json"); }), HasSubstr("no/such.json: cannot be read"));
  EXPECT_THAT(error_text([] { read_measurement("/"); }), HasSubstr("/: cannot be read"));
}

}  // namespace
}  // namespace bitreel::test
