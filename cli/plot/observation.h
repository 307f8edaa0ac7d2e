// What a figure shows of a part of a recording.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/level_sweep.h"
#include "cli/stft.h"

namespace mimi::cli {

constexpr StftShape kSpectrogramShape = {.fft = 1024, .window = 1024, .hop = 256};

struct Spectrogram {
  int levels;                   // that were decoded; 0: the original
  std::vector<float> decibels;  // [frames x bins], of a sine of full scale
};

struct Observation {
  int rate_hz = 0, frame_samples = 0, codebook_size = 0;
  int levels = 0;
  std::int64_t from_sample = 0;          // of the recording
  std::vector<float> original, decoded;  // of all levels
  std::vector<Spectrogram> spectrograms;
  std::int64_t first_frame = 0;
  std::vector<std::uint16_t> codes;  // [frames x levels] of the frames that the part touches
  // Energy of what each level changes in the decoded sound (level 0: makes of silence), in dB of
  // the energy with all levels.
  std::vector<double> change_db;
};

// Watches a recording from its beginning and keeps the part.
class Observer {
 public:
  // The first `levels` levels; samples from `from` to `to`.
  Observer(const Model& model, int levels, const StreamOptions& stream, std::int64_t from,
           std::int64_t to);

  // Nothing more is needed.
  bool is_done() const { return next_sample_ >= to_; }
  void push(std::span<const float> samples);
  // The recording is over, or is_done(). Leaves `original` empty where the part was not reached.
  Observation finish();

 private:
  void add(const SweepBlock& block);
  void add_changes(const SweepBlock& block, std::size_t begin, std::size_t count);

  Observation seen_;
  std::int64_t to_;
  std::int64_t next_sample_ = 0;                // the first one not yet seen decoded
  LevelSweep sweep_;                            // at each number of levels
  std::vector<std::size_t> shown_;              // of these, those of spectrograms
  std::vector<Stft> stfts_;                     // of the original, then of shown_
  std::vector<std::vector<float>> magnitudes_;  // of stfts_
  std::vector<double> changes_;                 // energies
  double energy_ = 0;                           // with all levels
};

}  // namespace mimi::cli
