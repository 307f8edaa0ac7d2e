// The workers: one stream of the codec a core, each fed by a thread that reads ahead.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "cli/audio_format.h"
#include "cli/dataset/schedule.h"
#include "cli/dataset/source_file.h"
#include "core/codec.h"

namespace mimi::cli {

struct EncodePoolOptions {
  int workers = 1;
  int levels = 8;
  Window window = Window::kOffline;
  SourceOptions source;
  bool is_file_per_row = false;  // so that a row's id must do as a file's name
};

class EncodePool {
 public:
  // Begins to work on what `schedule` gives, which must outlive it.
  EncodePool(const Model& model, Schedule& schedule, const EncodePoolOptions& options);
  // Stops the work, unless it is done.
  ~EncodePool();
  EncodePool(const EncodePool&) = delete;
  EncodePool& operator=(const EncodePool&) = delete;

  // Samples encoded so far, at the codec's rate.
  std::int64_t samples() const { return samples_; }

 private:
  class Worker;

  Schedule& schedule_;
  SourceHashes hashes_;
  std::atomic<std::int64_t> samples_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace mimi::cli
