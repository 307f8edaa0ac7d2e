// What a worker's reading thread hands to its encoding one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/dataset/row_input.h"
#include "cli/dataset/schedule.h"
#include "cli/dataset/source_file.h"

namespace mimi::cli {

// A new stream begins.
struct StreamBegin {
  std::shared_ptr<const Task> task;
  Sha256Digest source;
  std::uint32_t piece = 0;        // the first that is wanted
  std::int64_t first_frame = 0;   // what is heard first
  std::int64_t frames_early = 0;  // heard only for what follows
};
struct StreamSamples {
  std::vector<float> samples;
};
// A piece has been given in full; `end` where the recording ends there.
struct PieceEnd {
  float peak = 0;
  std::optional<RecordingEnd> end;
};
// No more of this task.
struct TaskEnd {
  std::shared_ptr<const Task> task;
  std::string error;  // why, where it is not a good end
};
using StreamItem = std::variant<StreamBegin, StreamSamples, PieceEnd, TaskEnd>;

struct RowReaderOptions {
  SourceOptions source;
  int rate_hz = 0;
  int frame_samples = 0;
  std::int64_t piece_frames = 0;
  std::int64_t receptive_frames = 0;
  bool is_file_per_row = false;
};

// How many frames make a piece: enough that beginning early costs little beside it.
std::int64_t piece_frames(std::int64_t receptive_frames);

class RowReader {
 public:
  // `give` returns false when nobody wants more.
  using Give = std::function<bool(StreamItem)>;
  RowReader(Schedule& schedule, SourceHashes& hashes, const RowReaderOptions& options, Give give);

  // Reads tasks until there are no more.
  void run();

 private:
  bool read_task(const std::shared_ptr<const Task>& task);
  void read_row(const std::shared_ptr<const Task>& task);
  void begin_stream(const std::shared_ptr<const Task>& task, const Sha256Digest& source,
                    std::uint32_t piece, RowInput& input);
  PieceEnd read_piece(RowInput& input, std::int64_t end);
  bool fill(RowInput& input, std::size_t samples);
  void give(StreamItem item);
  std::int64_t piece_samples() const { return options_.piece_frames * options_.frame_samples; }

  Schedule& schedule_;
  SourceHashes& hashes_;
  RowReaderOptions options_;
  Give give_;
  std::vector<float> pending_;  // read and not yet given
  std::vector<float> block_;
  std::int64_t samples_read_ = 0;  // of the recording, those passed over included
};

}  // namespace mimi::cli
