// Which options open the same model: those with equal keys can share one.
//
//   std::shared_ptr<Pipeline>& model = opened[model_key(options)];
//   if (model == nullptr) model = open_model(options);   // app/render.h
#pragma once

#include <string>

#include "app/options.h"

namespace bitreel {

std::string model_key(const GenerateOptions& options);

}  // namespace bitreel
