// From latents to the finished file: what generate and decode have in common.
//
//   deliver(model, latents, render, checkpoint, attention, console);   // frames stream to the encoder; the file has
//   its name only when complete
#pragma once

#include <ATen/core/Tensor.h>

#include "app/console.h"
#include "app/render.h"

namespace bitreel {

// Writes render.options.output and its sidecar, then says where they are and what took how long.
// attention: the record of what ran (attention_plan.h), for the provenance.
void deliver(CogVideoX& model, const at::Tensor& latents, const Render& render, const Checkpoint& checkpoint,
             const nlohmann::ordered_json& attention, Console& console);

}  // namespace bitreel
