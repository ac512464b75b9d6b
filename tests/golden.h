// Goldens: what diffusers computed, and how near ours must come (tests/golden/README.md).
//
//   const Golden golden("cog2b");
//   golden.expect(latents, "denoise", "final_latents", fp32_latents);
//
// A failure names the file, the tensor, the worst index and both values there.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

// Every tolerance of the golden tests: the largest difference allowed, as a share of the golden's largest value.
// Natural noise of the peer itself is below 1e-5 (case.json, peer_noise_fp32), so real errors show.
namespace tolerance {
inline constexpr double module = 1e-5;      // one module, fp32
inline constexpr double vae = 3e-5;         // the deepest module
inline constexpr double latents = 1e-4;     // final latents of a whole run
inline constexpr double loop = 1e-6;        // a scheduler's whole loop, fp32: only last bits are left open
inline constexpr double half_factor = 1.5;  // times the peer's own error in that half type
inline constexpr double table = 1e-12;      // tables in fp64
inline constexpr int pixel = 1;             // 8-bit frames: rounding at .5 may fall either way
}  // namespace tolerance

class Golden {
 public:
  explicit Golden(const std::string& name);

  [[nodiscard]] const nlohmann::json& json() const { return json_; }
  [[nodiscard]] std::filesystem::path folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path model() const { return folder_ / json_.value("model", "model"); }
  [[nodiscard]] at::Tensor tensor(const std::string& file, const std::string& name) const;
  // Shape and values, of the golden's largest value.
  void expect(const at::Tensor& ours, const std::string& file, const std::string& name, double share) const;

 private:
  std::filesystem::path folder_;
  nlohmann::json json_;
};

// "fp32", "bf16" or "fp16", as case.json writes them.
at::ScalarType dtype_from(const std::string& name);

// max|a - b| / max|b|, in fp64; infinite when a is not finite or the shapes differ.
double worst_share(const at::Tensor& a, const at::Tensor& b);

}  // namespace bitreel
