// How long a denoising step will take on this CPU, guessed before the first one from slices of its work.
//
//   const double seconds = seconds_per_step(render);   // costs about a tenth of a second
//
// Times one matrix product and one attention at the model's widths, on few of its rows and one core, and counts the
// operations of a whole step. Normalizing, gating and the like are a flat share on top. Right within about a factor
// of 1.5 where nothing else runs; a GPU is not guessed, its first step comes at once.
#pragma once

#include "app/render.h"

namespace bitreel {

double seconds_per_step(const Render& render);

}  // namespace bitreel
