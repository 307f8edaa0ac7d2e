// What `mimi eval` prints.
#pragma once

#include <string>
#include <vector>

#include "cli/eval/evaluation.h"

namespace mimi::cli {

struct EvalReport {
  ModelInfo model;
  std::vector<RecordingFigures> recordings;
  CodeStatistics codes;  // of all recordings
};

void print_eval_table(const EvalReport& report);
// One object, in one text.
std::string eval_json(const EvalReport& report);

}  // namespace mimi::cli
