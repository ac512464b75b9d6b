// What the processor and the operating system let kernels use.
//
//   const bool by_vnni = x86_features().avx512_vnni;
#pragma once

namespace bitreel {

struct X86Features {
  bool avx2 = false;         // with FMA
  bool avx_vnni = false;     // and AVX2
  bool avx512 = false;       // F, BW, VL and DQ; and AVX2
  bool avx512_vnni = false;  // F, BW, VL, DQ, VBMI and VNNI: Ice Lake, Zen 4 and later
  bool amx_int8 = false;     // and AVX512-VNNI; Linux has granted the tiles' memory
  bool amx_bf16 = false;     // likewise
};

// All false on other processors.
// Asks Linux once, on the first call, for leave to use tiles: before that they fault.
const X86Features& x86_features();

// Armv8.2's DotProd; false on other processors.
bool arm_dot_products();

}  // namespace bitreel
