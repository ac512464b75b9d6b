# LibTorch from a folder, everything else from the distribution's packages.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(OpenCV REQUIRED COMPONENTS core imgproc)
find_package(PNG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBAV REQUIRED IMPORTED_TARGET libavformat libavcodec libavfilter libavutil libswscale)
add_library(libav INTERFACE)
target_link_libraries(libav INTERFACE PkgConfig::LIBAV)
pkg_check_modules(PICTURES REQUIRED IMPORTED_TARGET libturbojpeg libwebp libexif)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
add_library(sentencepiece INTERFACE)
target_link_libraries(sentencepiece INTERFACE PkgConfig::SENTENCEPIECE)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

# The wheel's own find_package(Torch) insists on a CUDA toolkit; CPU use needs just these two libraries.
# CUDA is loaded at run time (pipelines/model/device.h), so one binary serves both devices.
foreach(lib torch_cpu c10)
  if(NOT EXISTS "${BITREEL_LIBTORCH}/lib/lib${lib}.so")
    message(FATAL_ERROR "no LibTorch at BITREEL_LIBTORCH=${BITREEL_LIBTORCH} (lib/lib${lib}.so is missing); run ./dev build, or pass -DBITREEL_LIBTORCH=<torch folder>")
  endif()
endforeach()
add_library(libtorch INTERFACE)
# The wheel carries headers of another fmt than the distribution's library; ours must be found first.
find_path(FMT_INCLUDE_DIR fmt/format.h PATHS /usr/include REQUIRED)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/include-first")
file(CREATE_LINK "${FMT_INCLUDE_DIR}/fmt" "${CMAKE_BINARY_DIR}/include-first/fmt" SYMBOLIC)
target_include_directories(libtorch SYSTEM INTERFACE "${CMAKE_BINARY_DIR}/include-first")
target_include_directories(libtorch SYSTEM INTERFACE
  "${BITREEL_LIBTORCH}/include" "${BITREEL_LIBTORCH}/include/torch/csrc/api/include")
# at::parallel_for is a header that runs on one thread unless OpenMP is on where it is included. The library of that
# name that LibTorch brings is the one found at run time.
if(NOT BITREEL_FUZZ)  # clang's OpenMP is a package of its own, and readers do without
  target_compile_options(libtorch INTERFACE -fopenmp)
  target_link_options(libtorch INTERFACE -fopenmp)
endif()
target_link_libraries(libtorch INTERFACE "${BITREEL_LIBTORCH}/lib/libtorch_cpu.so" "${BITREEL_LIBTORCH}/lib/libc10.so")
# DT_RUNPATH is not transitive; DT_RPATH lets libraries that LibTorch loads later be found too.
# The wheel finds libcudart and libcupti beside itself through its own RPATH; the linker needs no copy of them.
# CMake adds LibTorch's folder to what is built, and takes it out of what is installed.
target_link_options(libtorch INTERFACE -Wl,--disable-new-dtags -Wl,--allow-shlib-undefined)
