#include "pipelines/quality/caption.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

namespace bitreel::quality {
namespace {

constexpr size_t most_objects = 2;
constexpr const char* unsaid = "(not said)";  // no name of any domain

using Tokens = std::vector<std::string>;

// Words in lower case; a hyphen belongs to its word, all else parts words.
Tokens tokens_of(const std::string& text) {
  Tokens tokens;
  bool inside = false;
  for (const char letter : text) {
    const bool kept = std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '-';
    if (kept && !inside) tokens.emplace_back();
    if (kept) tokens.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    inside = kept;
  }
  return tokens;
}

enum class Kind { colour, background, shape, size, motion, place };

struct Phrase {
  Tokens tokens;
  Kind kind;
  std::string name;
};

std::vector<Phrase> phrases_of(const Words& words) {
  const std::array<std::pair<Kind, const std::vector<Wording>*>, 6> kinds{{{Kind::colour, &words.colours},
                                                                           {Kind::background, &words.backgrounds},
                                                                           {Kind::shape, &words.shapes},
                                                                           {Kind::size, &words.sizes},
                                                                           {Kind::motion, &words.motions},
                                                                           {Kind::place, &words.places}}};
  std::vector<Phrase> phrases;
  for (const auto& [kind, wordings] : kinds)
    for (const Wording& wording : *wordings)
      for (const std::string& way : wording.ways)
        phrases.push_back({.tokens = tokens_of(way), .kind = kind, .name = wording.name});
  return phrases;
}

// The longest phrase that begins at `at`; nullptr: none does.
const Phrase* phrase_at(const std::vector<Phrase>& phrases, const Tokens& tokens, size_t at) {
  const Phrase* longest = nullptr;
  for (const Phrase& phrase : phrases) {
    const size_t length = phrase.tokens.size();
    if (length == 0 || length > tokens.size() - at || (longest != nullptr && length <= longest->tokens.size()))
      continue;
    if (std::equal(phrase.tokens.begin(), phrase.tokens.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at)))
      longest = &phrase;
  }
  return longest;
}

// A name that is said once, or twice in the same way; empty otherwise.
class Said {
 public:
  void say(const std::string& name) {
    clear_ = clear_ && (name_.empty() || name_ == name);
    name_ = name;
  }
  [[nodiscard]] std::string name() const { return clear_ ? name_ : ""; }

 private:
  std::string name_;
  bool clear_ = true;
};

struct SaidObject {
  Said colour, shape, size, motion, place;
};

SeenObject seen_of(const SaidObject& said) {
  SeenObject object;
  object.colour = said.colour.name(), object.shape = said.shape.name(), object.size = said.size.name();
  object.motion = said.motion.name(), object.place = said.place.name();
  return object;
}

}  // namespace

Judgement read_caption(const std::string& text, const Domain& domain) {
  const std::vector<Phrase> phrases = phrases_of(domain.words);
  const Tokens tokens = tokens_of(text);
  Said background;
  SaidObject coming;  // named so far, its shape is to come
  std::vector<SaidObject> objects;
  for (size_t at = 0; at < tokens.size();) {
    const Phrase* phrase = phrase_at(phrases, tokens, at);
    at += phrase != nullptr ? phrase->tokens.size() : 1;
    if (phrase == nullptr) continue;
    switch (phrase->kind) {
      case Kind::colour:
        coming.colour.say(phrase->name);
        break;
      case Kind::size:
        coming.size.say(phrase->name);
        break;
      case Kind::shape:
        coming.shape.say(phrase->name);
        objects.push_back(std::exchange(coming, {}));
        break;
      case Kind::motion:
        if (!objects.empty()) objects.back().motion.say(phrase->name);
        break;
      case Kind::place:
        if (!objects.empty()) objects.back().place.say(phrase->name);
        break;
      case Kind::background:
        background.say(phrase->name);
        break;
    }
  }
  Judgement said{.background = background.name(), .objects = {}};
  if (objects.size() <= most_objects) std::ranges::transform(objects, std::back_inserter(said.objects), seen_of);
  return said;
}

ClipScore compare_caption(const Expectation& truth, const Judgement& said) {
  // The same comparison as of a picture, once what the caption leaves open is taken out of what is asked.
  const auto compared = [&](const std::vector<SeenObject>& objects) {
    Expectation asked = truth;
    for (size_t i = 0; i < asked.objects.size(); ++i) {
      const SeenObject object = i < objects.size() ? objects[i] : SeenObject{};
      if (object.size.empty()) asked.objects[i].size.clear();
      if (object.place.empty()) asked.objects[i].place.clear();
      if (object.motion.empty()) asked.objects[i].motion.clear();
    }
    if (said.background.empty()) asked.background.clear();
    return compare_in_order(asked, {.background = said.background, .objects = objects});
  };
  ClipScore score = compared(said.objects);
  std::vector<SeenObject> swapped = said.objects;
  swapped.resize(most_objects);
  std::swap(swapped[0], swapped[1]);
  if (truth.objects.size() < most_objects) return score;
  const ClipScore other = compared(swapped);
  return wrong_in(other) < wrong_in(score) ? other : score;
}

Expectation expected_by(const std::string& text, const Judgement& said) {
  const auto or_unsaid = [](const std::string& name) { return name.empty() ? unsaid : name; };
  Expectation asked{.prompt = text, .file = "", .objects = {}, .background = said.background};
  for (const SeenObject& object : said.objects)
    asked.objects.push_back({.colour = or_unsaid(object.colour),
                             .shape = or_unsaid(object.shape),
                             .size = object.size,
                             .motion = object.motion,
                             .place = object.place});
  if (asked.objects.empty()) asked.objects.push_back({.colour = unsaid, .shape = unsaid});
  return asked;
}

}  // namespace bitreel::quality
