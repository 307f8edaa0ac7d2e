// Which levels to decode, as --levels says it.
#pragma once

#include <string_view>
#include <vector>

namespace mimi::cli {

// "4": the first four; "0,3-5": just those; "3-3": level 3 alone. Levels count from 0.
struct LevelSet {
  int count = 0;            // of the first levels, where `levels` is empty; 0: all there are
  std::vector<int> levels;  // ascending, each once
};

// Throws UsageError.
LevelSet parse_levels(std::string_view text);

}  // namespace mimi::cli
