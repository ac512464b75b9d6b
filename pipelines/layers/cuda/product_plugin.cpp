#include "pipelines/layers/cuda/product_plugin.h"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <mutex>
#include <tuple>

namespace bitreel::cuda {
namespace {

struct Failure : std::exception {
  explicit Failure(cublasStatus_t s) : status(s) {}
  cublasStatus_t status;
};

void check(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) throw Failure(status);
}

// cuBLASLt's matrices are columns one behind the other, so rows of features are its columns: y^T = weight x^T.
struct Described {
  explicit Described(const ProductCall& call) {
    const ProductShape& shape = call.shape;
    check(cublasLtMatmulDescInit(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE,
        shape.after == AfterProduct::gelu_tanh ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.bias);
    const cudaDataType_t type = shape.element == RowElement::bf16 ? CUDA_R_16BF : CUDA_R_16F;
    check(cublasLtMatrixLayoutInit(&weight, type, shape.in, shape.out, shape.in));
    check(cublasLtMatrixLayoutInit(&x, type, shape.in, shape.rows, shape.in));
    check(cublasLtMatrixLayoutInit(&y, type, shape.out, shape.rows, shape.out));
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof value));
  }

  cublasLtMatmulDescOpaque_t product;
  cublasLtMatrixLayoutOpaque_t weight, x, y;
};

bool has_wide_tile(const cublasLtMatmulHeuristicResult_t& proposed) {
  std::uint32_t tile = CUBLASLT_MATMUL_TILE_UNDEFINED;
  check(
      cublasLtMatmulAlgoConfigGetAttribute(&proposed.algo, CUBLASLT_ALGO_CONFIG_TILE_ID, &tile, sizeof tile, nullptr));
  return tile == CUBLASLT_MATMUL_TILE_128x224;
}

cublasLtMatmulAlgo_t choose(cublasLtHandle_t library, Described& described) {
  cublasLtMatmulPreferenceOpaque_t preference;
  check(cublasLtMatmulPreferenceInit(&preference));
  const std::uint64_t workspace = product_workspace;
  check(cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                             sizeof workspace));
  std::array<cublasLtMatmulHeuristicResult_t, 24> proposed{};  // more than it has
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(library, &described.product, &described.weight, &described.x, &described.y,
                                       &described.y, &preference, static_cast<int>(proposed.size()), proposed.data(),
                                       &count));
  if (count == 0) throw Failure(CUBLAS_STATUS_NOT_SUPPORTED);
  const auto end = proposed.cbegin() + count, wide = std::find_if(proposed.cbegin(), end, has_wide_tile);
  return wide == end ? proposed.front().algo : wide->algo;
}

using Key = std::tuple<std::int32_t, RowElement, AfterProduct, std::int64_t, std::int64_t, std::int64_t>;

Key key_of(const ProductShape& shape) {
  return {shape.device, shape.element, shape.after, shape.rows, shape.in, shape.out};
}

// For the life of the process, as the GPUs' contexts.
struct Chosen {
  std::mutex one_chooses;
  std::map<std::int32_t, cublasLtHandle_t> libraries;  // by device
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;
};

struct Choice {
  cublasLtHandle_t library;
  cublasLtMatmulAlgo_t algorithm;
};

Choice choice_for(const ProductShape& shape, Described& described) {
  static Chosen& chosen = *new Chosen;
  const std::lock_guard alone(chosen.one_chooses);
  cublasLtHandle_t& library = chosen.libraries[shape.device];
  if (library == nullptr) check(cublasLtCreate(&library));
  auto found = chosen.algorithms.find(key_of(shape));
  if (found == chosen.algorithms.end())
    found = chosen.algorithms.emplace(key_of(shape), choose(library, described)).first;
  return {library, found->second};
}

int multiply(const ProductCall& call, void* stream) {
  try {
    Described described(call);
    const Choice choice = choice_for(call.shape, described);
    const float one = 1, zero = 0;
    return cublasLtMatmul(choice.library, &described.product, &one, call.weight, &described.weight, call.x,
                          &described.x, &zero, call.y, &described.y, call.y, &described.y, &choice.algorithm,
                          call.workspace, product_workspace, static_cast<cudaStream_t>(stream));
  } catch (const Failure& failure) {
    return failure.status;
  }
}

const char* status_text(int status) {
  return cublasLtGetStatusString(static_cast<cublasStatus_t>(status));
}

constexpr ProductPlugin table = {product_version, multiply, status_text};

}  // namespace
}  // namespace bitreel::cuda

extern "C" __attribute__((visibility("default"))) const bitreel::cuda::ProductPlugin* bitreel_cuda_products(
    std::int64_t version) {
  return version == bitreel::cuda::product_version ? &bitreel::cuda::table : nullptr;
}
