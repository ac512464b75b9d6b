// Makes LibTorch's CUDA backend available to a program that links its CPU library only.
//
//   const std::string missing = load_cuda();   // why there is no CUDA: "the driver says: no device is detected"
//
// Must run before anything touches CUDA. What is loaded stays: LibTorch registers its kernels for the life of the
// process.
#pragma once

#include <string>

namespace bitreel {

// Returns why CUDA can't be used (no driver, no libtorch_cuda.so, no GPU), in the loader's or driver's words; empty
// when it can.
std::string load_cuda();

// Whether that has happened. Asks nothing of LibTorch, whose answer before it would stay what it is.
bool cuda_is_loaded();

}  // namespace bitreel
