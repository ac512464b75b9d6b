// How this process takes and gives back memory: once, at its start, before LibTorch allocates.
//
//   prepare_allocation();
//
// Decoding takes and frees tensors of tens of megabytes all the time, and the kernel fills every page that it hands out
// with zeros. In pages of 2 MiB, which LibTorch asks for when it is told to (THP_MEM_ALLOC_ENABLE, its
// c10/core/impl/alloc_cpu.cpp), the default clip decodes in four fifths of the time. Blocks of 16 MiB and more go back
// to the kernel when they are freed: left alone, the C library raises that size to 32 MiB on the way and keeps holes
// that are a third of the decoder's peak. Of its heap it keeps 64 MiB that are free, as it would come to by itself.
// What the environment says of these stays.
#pragma once

namespace bitreel {

void prepare_allocation();

}  // namespace bitreel
