#include "cli/plot/colour_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace mimi::cli {
namespace {

// Every sixteenth of the map, interpolated between: no step of 1/255 is lost that an eye would see.
constexpr std::array<std::uint32_t, 17> kViridis = {
    0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c,
    0x1fa088, 0x28ae80, 0x3fbc73, 0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725};

double channel(std::uint32_t colour, int shift) { return ((colour >> shift) & 0xff) / 255.0; }

}  // namespace

Colour viridis(double value) {
  const double within = value > 0 ? std::min(value, 1.0) : 0;  // not a number: the lowest
  const double position = within * (kViridis.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(position), kViridis.size() - 2);
  const double share = position - static_cast<double>(below);
  const auto mixed = [&](int shift) {
    return std::lerp(channel(kViridis[below], shift), channel(kViridis[below + 1], shift), share);
  };
  return {.red = mixed(16), .green = mixed(8), .blue = mixed(0)};
}

std::uint32_t packed(const Colour& colour) {
  const auto byte = [](double value) {
    return static_cast<std::uint32_t>(std::lround(255 * value));
  };
  return 0xff000000U | byte(colour.red) << 16 | byte(colour.green) << 8 | byte(colour.blue);
}

}  // namespace mimi::cli
