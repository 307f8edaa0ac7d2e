// The figure of `mimi plot`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/plot/canvas.h"
#include "cli/plot/observation.h"

namespace mimi::cli {

// The bytes of the picture. `title` is its first line.
std::vector<std::uint8_t> draw_figure(const Observation& seen, const std::string& title,
                                      PictureFormat format);

}  // namespace mimi::cli
