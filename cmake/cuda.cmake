# libbitreel_cuda.so: the kernels for NVIDIA GPUs, a plugin that the program loads when there is one (attention/cuda/).
# Built where nvcc is; everything else configures and builds without it. nvcc is called as it is: CMake's own support
# for CUDA wants to know each version of it.
find_program(BITREEL_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin
  DOC "NVIDIA's compiler, 13.0 or later: builds libbitreel_cuda.so")
unset(BITREEL_CUDA_ARCHITECTURES CACHE)
if(NOT BITREEL_NVCC)
  message(STATUS "CUDA kernels: no nvcc, so libbitreel_cuda.so is left out (set CUDA_HOME or BITREEL_NVCC)")
  return()
endif()
get_filename_component(cuda_home "${BITREEL_NVCC}" REALPATH)
get_filename_component(cuda_home "${cuda_home}/../.." ABSOLUTE)
find_library(BITREEL_CUDART cudart HINTS "${cuda_home}" PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib REQUIRED)

set(BITREEL_CUDA_FLAGS "" CACHE STRING "Further flags of nvcc, such as -lineinfo")
separate_arguments(cuda_flags UNIX_COMMAND "${BITREEL_CUDA_FLAGS}")

# Most files use what every GPU since sm_80 has; the PTX is what later ones translate. sm90/ is for Hopper alone.
set(cuda_without_sm120 -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_89,code=sm_89
  -gencode=arch=compute_90,code=sm_90 -gencode=arch=compute_120,code=compute_120)
set(cuda_common ${cuda_without_sm120} -gencode=arch=compute_120a,code=sm_120a)
# 4-bit products are emulated from sm_90 on and not meant for it; the PTX is for tests there.
set(cuda_s4 -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_89,code=[sm_89,compute_89])
set(cuda_sm90 -gencode=arch=compute_90a,code=sm_90a)
set(cuda_architectures "sm_80 sm_89 sm_90 sm_120a")
file(GLOB cuda_sources CONFIGURE_DEPENDS attention/cuda/*.cu pipelines/layers/cuda/*.cu)
file(GLOB cuda_sm90_sources CONFIGURE_DEPENDS attention/cuda/sm90/*.cu)
if(cuda_sm90_sources)
  set(cuda_architectures "sm_80 sm_89 sm_90 sm_90a sm_120a")
  set(cuda_has_sm90 -DBITREEL_CUDA_SM90)
endif()

foreach(source ${cuda_sources} ${cuda_sm90_sources})
  file(RELATIVE_PATH object "${CMAKE_SOURCE_DIR}" "${source}.o")
  get_filename_component(folder "${CMAKE_BINARY_DIR}/cuda/${object}" DIRECTORY)
  file(MAKE_DIRECTORY "${folder}")
  set(object "cuda/${object}")
  set(generate ${cuda_common})
  if(source IN_LIST cuda_sm90_sources)
    set(generate ${cuda_sm90})
  endif()
  if(source MATCHES "_s4.cu$")
    set(generate ${cuda_s4})
  elseif(source MATCHES "mma_fp16.cu$")  # ptxas 13.0 spills two registers of it for sm_120a
    set(generate ${cuda_without_sm120})
  endif()
  add_custom_command(OUTPUT "${object}"
    # Fails where a kernel spills registers or ptxas serialises its products.
    COMMAND "${CMAKE_SOURCE_DIR}/cmake/checked-nvcc" ${CCACHE} "${BITREEL_NVCC}" -std=c++20 -O3 ${generate}
      --expt-relaxed-constexpr -Xptxas=-v -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra
      "-I${CMAKE_SOURCE_DIR}" ${cuda_has_sm90} ${cuda_flags} "-DBITREEL_CUDA_ARCHITECTURES=\"${cuda_architectures}\""
      -MD -MF "${object}.d" -c "${source}" -o "${object}"
    DEPENDS "${source}" "${CMAKE_SOURCE_DIR}/cmake/checked-nvcc" DEPFILE "${object}.d"
    COMMENT "Building ${object}" VERBATIM)
  list(APPEND cuda_objects "${CMAKE_BINARY_DIR}/${object}")
endforeach()
set_source_files_properties(${cuda_objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(bitreel_cuda MODULE ${cuda_objects})
set_target_properties(bitreel_cuda PROPERTIES LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
  UNITY_BUILD OFF)  # each of its sources calls its table so
target_include_directories(bitreel_cuda PRIVATE "${CMAKE_SOURCE_DIR}")
target_include_directories(bitreel_cuda SYSTEM PRIVATE "${cuda_home}/include")
target_compile_options(bitreel_cuda PRIVATE -Wall -Wextra $<$<BOOL:${BITREEL_WERROR}>:-Werror> -fvisibility=hidden)
# LibTorch's graphs are in its CUDA library, which is loaded before this one and is not linked.
if(EXISTS "${BITREEL_LIBTORCH}/include/c10/cuda/impl/cuda_cmake_macros.h")
  target_sources(bitreel_cuda PRIVATE pipelines/model/cuda/graph_plugin.cpp)
  target_include_directories(bitreel_cuda SYSTEM PRIVATE $<TARGET_PROPERTY:libtorch,INTERFACE_INCLUDE_DIRECTORIES>)
else()
  message(STATUS "CUDA kernels: ${BITREEL_LIBTORCH} has no headers for CUDA, so steps will not be recorded")
endif()
# Both of the program that the plugin comes into: LibTorch's copies, which are loaded by then.
target_link_libraries(bitreel_cuda PRIVATE "${BITREEL_CUDART}")
find_library(BITREEL_CUBLASLT cublasLt HINTS "${cuda_home}" PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib)
if(BITREEL_CUBLASLT AND EXISTS "${cuda_home}/include/cublasLt.h")
  target_sources(bitreel_cuda PRIVATE pipelines/layers/cuda/product_plugin.cpp)
  target_link_libraries(bitreel_cuda PRIVATE "${BITREEL_CUBLASLT}")
else()
  message(STATUS "CUDA kernels: ${cuda_home} has no cuBLASLt, so products in full precision are all LibTorch's")
endif()
set_target_properties(bitreel_cuda PROPERTIES SKIP_BUILD_RPATH ON)
set(BITREEL_CUDA_ARCHITECTURES "${cuda_architectures}" CACHE INTERNAL "that libbitreel_cuda.so has machine code for")
message(STATUS "CUDA kernels: libbitreel_cuda.so for ${cuda_architectures}, by ${BITREEL_NVCC}")
