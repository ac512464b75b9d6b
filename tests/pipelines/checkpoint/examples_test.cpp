// Examples of the headers of checkpoint/ (tests/app/manuals_test.cpp compares). Those that want the default model are
// in tests/app/examples_test.cpp.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <limits>

#include "pipelines/checkpoint/finite.h"
#include "pipelines/checkpoint/host_copy.h"
#include "pipelines/checkpoint/host_weights.h"
#include "pipelines/checkpoint/mapped_file.h"
#include "pipelines/checkpoint/upload.h"
#include "tests/error_text.h"
#include "tests/examples_folder.h"
#include "tests/files.h"

namespace bitreel::test {
namespace {

class Examples : public ExamplesFolder {};

TEST_F(Examples, OfWeightFiles) {
  write_text("./model.safetensors", std::string(4096, 'x'));
  watch_mapped_files();
  const MappedFile file("model.safetensors");
  std::string copied(4096, ' ');
  auto* const room = reinterpret_cast<std::byte*>(copied.data());
  copy_of_file(file.data(), 4096, room);
  EXPECT_EQ(copied, std::string(4096, 'x'));
  const at::Tensor weight = at::full({3}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(error_text([&] {
              if (!all_finite(weight)) throw Error("transformer: tensor proj_out.bias is not finite");
            }),
            "transformer: tensor proj_out.bias is not finite\n");
  EXPECT_EQ(error_text([&] {
              if (!all_finite(weight.const_data_ptr(), 2, at::kFloat)) throw Error("not the first two either");
            }),
            "not the first two either\n");
}

TEST_F(Examples, OfWeightsInHostMemory) {
  const at::Device device = at::kCPU;
  const at::Tensor room = at::zeros({2});
  {
    const at::Tensor weight = at::ones({2});
    const HostCopy copy(weight, device);  // weight: on the device or not
    copy.fetch_into(room);                // room: of as many bytes, on the device; on its current stream
    EXPECT_TRUE(at::equal(room, weight));
  }
  const auto read_from_file = [&] { return room.to(at::kBFloat16); };
  HostWeights kept(device);
  const at::Tensor weight = kept.on_device("proj_out.weight", at::kBFloat16, [&] { return read_from_file(); });
  EXPECT_TRUE(at::equal(weight, read_from_file()));
}

TEST_F(Examples, OfUploadedWeights) {
  const at::Device device = at::kCPU;
  const at::Tensor stored = at::tensor({1.0f, -2.5f});
  Upload upload(device);
  const std::optional<at::Tensor> weight = upload(stored, at::kBFloat16);
  if (!weight) throw Error("it holds infinity or values that are not numbers");
  EXPECT_TRUE(at::equal(*weight, stored.to(at::kBFloat16)));
}

}  // namespace
}  // namespace bitreel::test
