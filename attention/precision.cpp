#include "attention/precision.h"

namespace bitreel {

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::full:
      return "full";
  }
  return "unknown";
}

std::optional<Precision> precision_from(std::string_view name) {
  if (name == name_of(Precision::full)) return Precision::full;
  return std::nullopt;
}

}  // namespace bitreel
