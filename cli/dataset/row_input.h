// The sound of a row.
#pragma once

#include <memory>

#include "cli/audio_input.h"
#include "cli/byte_reader.h"
#include "cli/dataset/row.h"

namespace mimi::cli {

// The bytes of a row's source: a file, or a member of a tar file.
std::unique_ptr<ByteReader> open_row(const Row& row);

// At `rate_hz`, of the part and the channel that the row asks for. Throws mimi::Error naming the
// row.
class RowInput {
 public:
  RowInput(const Row& row, const SourceOptions& options, int rate_hz);

  // As AudioInput's.
  bool read(std::vector<float>& samples);
  void skip(std::int64_t samples) { input_->skip(samples); }
  // How many samples there will be, where that is known and any of them can be begun with quickly.
  std::optional<std::int64_t> shareable_samples() const;

  int source_rate_hz() const { return input_->source_rate_hz(); }
  std::int64_t source_samples_read() const { return input_->source_frames_read(); }

 private:
  void select_range(AudioSource& source, const Row& row);

  std::string name_;
  std::unique_ptr<AudioInput> input_;
  std::int64_t first_frame_ = 0;   // of the source, that the row begins with
  std::int64_t least_frames_ = 0;  // of the source, that the row's end promises
};

}  // namespace mimi::cli
