// What a caption says of a picture, read with the world's own words, and how true that is.
//
//   const Judgement said = read_caption("A small violet box at the top left on white.", domain);
//   said.objects[0].shape;   // "square"
//   compare_caption(truth, said).of(Attribute::everything).right;
//
// The grammar is the recipes': objects as "SIZE COLOUR SHAPE", each followed by its place or motion, and a background's
// colour, in Domain::words; other words and punctuation are passed over, letters' case is. What is not named is empty;
// so is what is named in two ways ("a red blue circle"). More than two objects are none: the world has no such picture.
#pragma once

#include <string>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/judge.h"
#include "pipelines/quality/score.h"

namespace bitreel::quality {

// The objects have names only: nothing is measured.
[[nodiscard]] Judgement read_caption(const std::string& text, const Domain& domain);

// A caption of a picture whose truth is known. Colour and shape are asked of every object: a caption that leaves them
// out is wrong. Size, place, motion and background are asked where the caption names them. Everything: all of that is
// right, and the caption speaks of as many objects as there are.
[[nodiscard]] ClipScore compare_caption(const Expectation& truth, const Judgement& said);

// What a picture must show to agree with its caption. An object whose colour or shape the caption does not name is one
// that no picture shows; so is that of a caption without objects.
[[nodiscard]] Expectation expected_by(const std::string& text, const Judgement& said);

}  // namespace bitreel::quality
