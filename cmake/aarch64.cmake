# 64-bit Arm, from Debian's cross compiler (g++-aarch64-linux-gnu). SYSROOT: a folder with the arm64 packages that ./dev
# installs on this machine's architecture, and what they depend on, unpacked by dpkg -x (apt-get --download-only
# -o APT::Architecture=arm64 -o Dir::State=EMPTY ... fetches them). WHEEL: LibTorch's aarch64 wheel, unpacked.
#
#   cmake -G Ninja -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DBITREEL_SYSROOT=SYSROOT
#         -DBITREEL_LIBTORCH=WHEEL/torch
#   cmake --build build/aarch64 --target bitreel test_attention
#   qemu-aarch64-static -cpu max -L SYSROOT -E LD_LIBRARY_PATH=WHEEL/torch/lib build/aarch64/tests/test_attention
#
# -cpu max has dot products (cpu-neon), -cpu cortex-a53 has none (cpu-scalar).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BITREEL_SYSROOT)
set(CMAKE_FIND_ROOT_PATH "${BITREEL_SYSROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${BITREEL_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR} "${BITREEL_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${BITREEL_SYSROOT}/usr/share/pkgconfig")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
set(BITREEL_NVCC OFF CACHE FILEPATH "It compiles for this machine's processor")
