#define BITREEL_ROWS_ISA rows_avx2
#define BITREEL_ROWS_NAME "avx2"
#include "pipelines/layers/rows/rows_isa.inc"
