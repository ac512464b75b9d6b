// A measurement as JSON: MEASURED.json, what `bitreel calibrate` writes and `bitreel plan` reads.
//
//   {"bitreel_measurement": 1,
//    "made_for": {"model": "pocket", "model_hash": "9f86d081",
//                 "scheduler": "ddim", "layers": 12, "timesteps": [999, 499]},
//    "device": "AMD EPYC 9R14, 2 threads",
//    "shape": {"batch": 2, "heads": 4, "queries": 2018, "keys": 2018, "head_dim": 64},
//    "sampled": {"heads": [0, 1, 2, 3], "layers": [5], "steps": [0, 1]},
//    "precisions": ["int8"],
//    "prompts": [{"text": "a red circle moves right", "seed": 7}, {"text": "a blue star", "seed": 8}],
//    "seconds": {"full": [0.0101, 0.0103], "int8": [0.0062, 0.0061]},
//    "cells": [{"layer": 5, "step": 0, "precision": "int8", "cosine": [0.999, 0.0001, 0.998],
//               "relative_l1": [0.02, 0.001, 0.03], "rmse": [0.01, 0.001, 0.02], "score": [0.98, 0.001, 0.97]},
//              {"layer": 5, "step": 1, "precision": "int8", "cosine": [0.999, 0.0001, 0.998],
//               "relative_l1": [0.02, 0.001, 0.03], "rmse": [0.01, 0.001, 0.02], "score": [0.98, 0.001, 0.97]}]}
//
// Seconds are of one call each; a cell's figures are the mean over prompts, their standard deviation and the worst.
// Strict: an Error names the file and the line or field for cut or broken JSON, another version, unknown, missing and
// repeated keys, cells that are missing or come twice, numbers that are not finite or cannot be, and times that lack.
// Reading and writing again gives the same text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "schedulers/precision/measurement.h"

namespace bitreel {

inline constexpr std::int64_t measurement_format_version = 1;

// At least one prompt and a time for full precision and every candidate; Error otherwise, as the reader would.
std::string to_json(const Measurement& measurement);

Measurement read_measurement(const std::filesystem::path& file);
// The same from text; errors call it `name`.
Measurement measurement_from_json(const std::string& text, const std::string& name);

}  // namespace bitreel
