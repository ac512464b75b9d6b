// What can be asked of a UniDiffuser: its modes, defaults, and the checks made before any work.
//
//   Request request = default_request(config);      // text to picture, 50 steps, guidance 8, as the peer would choose
//   request.prompt = "an elephant under the sea";
//   check(request, config);                         // UsageError naming the flag and the nearest valid value
//
// A variation is two denoisings, the second of what the first made: picture -> caption -> picture, prompt -> picture ->
// caption. Source: diffusers pipeline_unidiffuser.py.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipelines/model/modes.h"
#include "pipelines/model/request.h"
#include "pipelines/unidiffuser/config.h"
#include "pipelines/unidiffuser/joint.h"

namespace bitreel {

// The first whose input is given is the one that the peer infers: of a prompt, of a picture, of nothing.
std::vector<Mode> unidiffuser_modes();

// The denoisings that a mode consists of, by its name: one, or two for a variation.
std::span<const UniDiffuserMode> stages_of(const std::string& mode);

Request default_request(const UniDiffuserConfig& config);
void check(const Request& request, const UniDiffuserConfig& config);

}  // namespace bitreel
