// Colours of values.
#pragma once

#include <cstdint>

namespace mimi::cli {

struct Colour {
  double red, green, blue;  // 0 to 1
};

// Viridis: from dark blue (0) by green to yellow (1), in even steps to the eye, in grey too. What
// is beyond 0 and 1 has the colour of the end, what is not a number that of 0.
Colour viridis(double value);

// 0xffRRGGBB.
std::uint32_t packed(const Colour& colour);

}  // namespace mimi::cli
