// Turns a tokenizer.json with a unigram model into the SentencePiece model it came from.
//
// transformers 5 saves only tokenizer.json; SentencePiece, the library, reads only its own protobuf. The two hold the
// same table, so it is rewritten rather than the segmentation reimplemented. Fields: sentencepiece_model.proto.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bitreel {

// The serialized ModelProto. `file` names the JSON in errors.
std::string piece_model_from_json(const nlohmann::json& tokenizer, const std::string& file);

}  // namespace bitreel
