// All of a request that encoding sees: what is encoded once serves every request with an equal key.
//
//   std::map<std::string, NamedTensors> encoded;
//   const auto [of_request, is_new] = encoded.try_emplace(encoding_key(request));
//   if (is_new) of_request->second = model->encode(request);
#pragma once

#include <string>

#include "pipelines/model/request.h"

namespace bitreel {

// Of one model; others encode otherwise.
std::string encoding_key(const Request& request);

}  // namespace bitreel
