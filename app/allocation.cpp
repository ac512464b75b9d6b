#include "app/allocation.h"

#include <malloc.h>

#include <cstdlib>

namespace bitreel {

void prepare_allocation() {
  // NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
  constexpr int least_bytes_given_back = 16 << 20, heap_bytes_kept = 64 << 20;
  if (std::getenv("MALLOC_MMAP_THRESHOLD_") == nullptr) mallopt(M_MMAP_THRESHOLD, least_bytes_given_back);
  if (std::getenv("MALLOC_TRIM_THRESHOLD_") == nullptr) mallopt(M_TRIM_THRESHOLD, heap_bytes_kept);
  // NOLINTEND(concurrency-mt-unsafe)
}

}  // namespace bitreel
