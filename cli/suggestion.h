// What somebody who mistyped a name meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mimi::cli {

// The one of `names` that is fewest typing errors away from `word` (a letter too many, too few or
// wrong, or two neighbours swapped), with at most one in three letters wrong; otherwise empty.
// The distance is the optimal string alignment distance (Damerau, 1964).
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

}  // namespace mimi::cli
