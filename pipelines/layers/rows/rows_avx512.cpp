#define BITREEL_ROWS_ISA rows_avx512
#define BITREEL_ROWS_NAME "avx512"
#include "pipelines/layers/rows/rows_isa.inc"
