// The commands that make datasets of tokens and work on them.
#pragma once

#include <string>

#include "cli/audio_format.h"
#include "cli/commands.h"
#include "cli/dataset/inputs.h"
#include "cli/dataset/schedule.h"
#include "cli/dataset/settings.h"

namespace mimi::cli {

struct TokenizeOptions {
  InputOptions inputs;
  std::string out;
  Form form = Form::kMimi;
  int shard_size = 1000;
  ShardShare share;
  int levels = 0;  // 0: 8, or all of a model that has fewer
  SourceOptions source;
  Window window = Window::kOffline;
  bool strict = false;
  bool dry_run = false;
  bool json_progress = false;
};
int run_tokenize(const TokenizeOptions& options, const CommonOptions& common);

struct MergeOptions {
  std::string dataset;
};
int run_merge(const MergeOptions& options, const CommonOptions& common);

struct VerifyOptions {
  std::string dataset;
  bool sources = false;  // their checksums too
  double resample = 0;   // share of the rows to encode again
  std::uint64_t seed = 0;
};
int run_verify(const VerifyOptions& options, const CommonOptions& common);

struct DetokenizeOptions {
  std::string dataset;
  std::string out;
  Form form = Form::kWav;
  SinkOptions sink;
  ShardShare share;
  bool strict = false;
  bool dry_run = false;
  bool json_progress = false;
};
int run_detokenize(const DetokenizeOptions& options, const CommonOptions& common);

}  // namespace mimi::cli
