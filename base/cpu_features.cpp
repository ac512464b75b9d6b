#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstdint>

namespace bitreel {
namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool has(std::uint64_t word, std::uint64_t bits) {
  return (word & bits) == bits;
}

// XCR0: the registers that the operating system saves.
std::uint64_t saved_registers() {
  constexpr unsigned os_saves_registers = 1u << 27;
  if (!has(cpuid(1, 0).ecx, os_saves_registers)) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

bool tiles_granted() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

X86Features detect() {
  constexpr std::uint64_t ymm = 0x6, zmm = ymm | 0xe0, tiles = 0x60000;
  constexpr unsigned fma = 1u << 12;
  constexpr unsigned avx2 = 1u << 5, avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  constexpr unsigned vbmi_vnni = 1u << 1 | 1u << 11;
  constexpr unsigned amx_tile_bf16 = 1u << 24 | 1u << 22, amx_tile_int8 = 1u << 24 | 1u << 25;
  constexpr unsigned avx_vnni = 1u << 4;
  const std::uint64_t saved = saved_registers();
  const Registers base = cpuid(1, 0), extended = cpuid(7, 0), more = cpuid(7, 1);
  X86Features f;
  f.avx2 = has(saved, ymm) && has(base.ecx, fma) && has(extended.ebx, avx2);
  f.avx_vnni = f.avx2 && has(more.eax, avx_vnni);
  f.avx512 = f.avx2 && has(saved, zmm) && has(extended.ebx, avx512_f_dq_bw_vl);
  f.avx512_vnni = f.avx512 && has(extended.ecx, vbmi_vnni);
  const bool has_tiles = f.avx512_vnni && has(saved, tiles) && tiles_granted();
  f.amx_int8 = has_tiles && has(extended.edx, amx_tile_int8);
  f.amx_bf16 = has_tiles && has(extended.edx, amx_tile_bf16);
  return f;
}

#else

X86Features detect() {
  return {};
}

#endif

}  // namespace

const X86Features& x86_features() {
  static const X86Features features = detect();
  return features;
}

bool arm_dot_products() {
#if defined(__aarch64__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

}  // namespace bitreel
