#define BITREEL_ROWS_ISA rows_baseline
#define BITREEL_ROWS_NAME "baseline"
#include "pipelines/layers/rows/rows_isa.inc"
