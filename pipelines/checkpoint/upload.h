// Weights on their way from a mapped file to a device: all threads read them into page-locked memory, where they are
// checked, and a piece is sent while the next one is read. From pageable memory the driver copies with one thread.
//
//   Upload upload(device);                       // has room for a few pieces as long as it lives
//   const std::optional<at::Tensor> weight = upload(stored, at::kBFloat16);
//   if (!weight) throw Error("it holds infinity or values that are not numbers");
//
// The numbers are those of stored.to(device, dtype): others than the stored dtype are made on the device. What follows
// on the current stream finds them there; the host does not wait for the last piece. On a CPU, where this is for tests,
// all is plain copies.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace bitreel {

class Upload {
 public:
  static constexpr std::int64_t usual_piece_bytes = std::int64_t{1} << 25;

  explicit Upload(at::Device device, std::int64_t piece_bytes = usual_piece_bytes);
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // stored: floating-point, contiguous, on the CPU. None when not all of it is finite.
  std::optional<at::Tensor> operator()(const at::Tensor& stored, at::ScalarType dtype);

 private:
  struct Place {
    at::Tensor bytes;
    std::optional<c10::Event> sent = {};  // on a GPU, once it has been
  };

  // Whose last piece the device has by now.
  Place& next_place();

  static constexpr std::size_t places = 3;

  at::Device device_;
  std::int64_t piece_bytes_;
  std::vector<Place> places_;
  std::size_t next_ = 0;
};

}  // namespace bitreel
