// What the codec makes of a recording, in figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/eval/code_statistics.h"
#include "cli/eval/distances.h"

namespace mimi::cli {

struct EvalOptions {
  std::vector<std::string> inputs;
  std::vector<int> levels;  // numbers of levels to decode, ascending; none: 1, 2, 4 ... all
  SourceOptions source;
  Window window = Window::kOffline;
  bool json = false;
};

struct LevelFigures {
  int levels;
  Distances distances;
  double bits_per_second;  // of the whole file that `mimi encode` makes
};

struct RecordingFigures {
  std::string name;
  double seconds;
  std::vector<LevelFigures> levels;  // for each of EvalOptions::levels
};

// Streams through the recording in memory that does not grow with its length, and adds its codes to
// `codes`, which are those of the largest number of levels. Throws mimi::Error.
RecordingFigures evaluate(const std::string& input, const Model& model, const EvalOptions& options,
                          const CommonOptions& common, CodeStatistics& codes);

}  // namespace mimi::cli
