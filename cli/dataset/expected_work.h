#pragma once

#include "cli/dataset/row.h"

namespace mimi::cli {

// About how many seconds a row's recording has, by what the manifest says or by its file's size and
// suffix: good enough to begin with the long ones. 0 where nothing is known.
double expected_seconds(const Row& row);

}  // namespace mimi::cli
