// DPM-Solver++ multistep against diffusers': noise levels, timesteps and whole loops of every variant.
#include "schedulers/noise/multistep_dpm.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <numeric>

#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using nlohmann::json;
using testing::HasSubstr;

at::Tensor output_at(const at::Tensor& outputs, std::size_t step, at::ScalarType dtype) {
  return outputs[static_cast<std::int64_t>(step) % outputs.size(0)].to(dtype);
}

TEST(MultistepDpm, TakesThePeersLoopsInEveryVariant) {
  const Golden golden("unidiffuser_scheduler");
  const SafetensorsFile stored = SafetensorsFile::open(golden.folder() / "loops.safetensors");
  const at::Tensor outputs = stored.tensor("model_outputs");
  ASSERT_GE(golden.json()["loops"].size(), 30U);
  for (const json& loop : golden.json()["loops"]) {
    SCOPED_TRACE(loop.dump());
    const std::string name = loop["name"];
    const at::ScalarType dtype = dtype_from(loop["dtype"]);
    MultistepDpm scheduler(read_multistep_dpm_config(loop["config"]), loop["steps"]);
    EXPECT_EQ(scheduler.timesteps(), loop["timesteps"].get<std::vector<std::int64_t>>());
    golden.expect(scheduler.sigmas(), "loops", name + ".sigmas", tolerance::loop);
    const at::Generator generator = at::detail::createCPUGenerator(loop["seed"].get<std::uint64_t>());
    at::Tensor sample = stored.tensor("sample").to(dtype);
    for (std::size_t i = 0; i < scheduler.timesteps().size(); ++i) {
      sample = scheduler.step(output_at(outputs, i, dtype), i, sample, generator);
      EXPECT_EQ(sample.scalar_type(), dtype);
      const std::string kept = name + ".after_step." + std::to_string(i);
      // Halves: the last rounding may fall either way where a product does.
      if (stored.tensors().contains(kept)) golden.expect(sample, "loops", kept, dtype == at::kFloat ? 5e-6 : 4e-3);
    }
  }
}

TEST(MultistepDpm, VisitsThePeersTimesteps) {
  const Golden golden("unidiffuser_scheduler");
  int compared = 0;
  for (const auto& [name, expected] : golden.json()["timesteps"].items()) {
    const std::size_t dot = name.find('.');
    const MultistepDpm scheduler(read_multistep_dpm_config({{"timestep_spacing", name.substr(0, dot)}}),
                                 std::stoll(name.substr(dot + 1)));
    const std::vector<std::int64_t>& ours = scheduler.timesteps();
    if (expected.is_array()) {
      EXPECT_EQ(ours, expected.get<std::vector<std::int64_t>>()) << name;
    } else {
      EXPECT_EQ(ours.size(), expected["count"].get<std::size_t>()) << name;
      EXPECT_EQ(std::accumulate(ours.begin(), ours.end(), std::int64_t{0}), expected["sum"].get<std::int64_t>())
          << name;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 33);
}

TEST(MultistepDpm, GoesOnFromItsStateAsIfNothingHadHappened) {
  const Golden golden("unidiffuser_scheduler");
  const at::Tensor outputs = golden.tensor("loops", "model_outputs");
  const at::Generator none = at::detail::createCPUGenerator(0);
  for (const int order : {1, 2, 3}) {
    const MultistepDpmConfig config = read_multistep_dpm_config({{"solver_order", order}});
    MultistepDpm whole(config, 9);
    std::vector<at::Tensor> samples = {golden.tensor("loops", "sample")};
    std::vector<std::map<std::string, at::Tensor>> states;
    for (std::size_t i = 0; i < 9; ++i) {
      samples.push_back(whole.step(output_at(outputs, i, at::kFloat), i, samples.back(), none));
      states.push_back(whole.state());
    }
    for (std::size_t from = 1; from < 9; ++from) {
      MultistepDpm rest(config, 9);
      rest.restore(states[from - 1]);
      at::Tensor sample = samples[from];
      for (std::size_t i = from; i < 9; ++i) sample = rest.step(output_at(outputs, i, at::kFloat), i, sample, none);
      EXPECT_TRUE(at::equal(sample, samples.back())) << order << " " << from;
    }
  }
  MultistepDpm second(read_multistep_dpm_config({{"solver_order", 2}}), 9);
  EXPECT_THAT(error_text([&] {
                second.restore({{"previous_original", outputs}});
              }),
              HasSubstr("the state holds previous_original"));
}

TEST(MultistepDpm, RefusesWhatItCanNotDoByName) {
  const auto refusal = [](const json& config) { return error_text([&] { (void)read_multistep_dpm_config(config); }); };
  EXPECT_THAT(refusal({{"use_karras_sigmas", true}}), HasSubstr("use_karras_sigmas is true"));
  EXPECT_THAT(refusal({{"variance_type", "learned"}}), HasSubstr("variance_type"));
  EXPECT_THAT(refusal({{"prediction_type", "flow_prediction"}}), HasSubstr("prediction_type"));
  EXPECT_THAT(refusal({{"solver_order", 4}}), HasSubstr("solver_order is 4"));
  EXPECT_THAT(refusal({{"algorithm_type", "dpmsolver"}}), HasSubstr("expected sigma_min"));
  const MultistepDpmConfig config = read_multistep_dpm_config(json::object());
  for (const int steps : {0, -1, 1001}) {
    EXPECT_THAT(error_text<UsageError>([&] { (void)MultistepDpm(config, steps); }),
                HasSubstr("`steps` " + std::to_string(steps)));
  }
  const MultistepDpmConfig leading = read_multistep_dpm_config({{"timestep_spacing", "leading"}});
  EXPECT_THAT(error_text<UsageError>([&] { (void)MultistepDpm(leading, 1000); }),
              HasSubstr("the first two steps would be at the same timestep 0"));
}

}  // namespace
}  // namespace bitreel
