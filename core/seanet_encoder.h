// SEANet's convolutional encoder: 24 kHz samples to 25 Hz rows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "core/conv.h"
#include "core/residual_units.h"
#include "core/seanet_parts.h"

namespace mimi {

// Weights.
struct SeanetEncoder {
  struct Stage {
    std::vector<ResidualUnit> units;
    CausalConv down;
    std::string tap_name;
  };
  explicit SeanetEncoder(WeightReader& reader);
  SeanetEncoder(const SeanetEncoder&) = delete;
  SeanetEncoder& operator=(const SeanetEncoder&) = delete;

  kernels::Activation elu;
  CausalConv first;
  std::vector<Stage> stages;
  CausalConv last;
  std::string last_tap_name;
  double flop_per_frame = 0;
};

// State of one stream.
class SeanetEncoderStream {
 public:
  // At most `block_frames` frames a call to run().
  SeanetEncoderStream(const SeanetEncoder& model, int block_frames, int threads, const Tap& tap);

  // Reads [frames * frame_samples] samples of each stream; writes 2 rows a frame to its output,
  // from row 0 on. All streams are of one model; the first one's thread count serves.
  static void run(std::span<SeanetEncoderStream* const> streams,
                  std::span<const float* const> samples, int frames,
                  std::span<RowBuffer* const> outputs);

 private:
  struct Stage {
    int block_rows;                // of its output, that it works on at once
    std::vector<UnitRows> inputs;  // of each unit
    RowBuffer down_input;
  };
  // Makes `rows` rows of a stage's input by running the stages before it in blocks of their own
  // size.
  void fill(std::size_t stage, int rows, int threads);
  void fill_first(int rows, int threads);
  void run_stage(std::size_t index, int output_rows, int output_row, int threads);
  // Makes the input of the last stage's convolution, and those of all that come before.
  void fill_last_down(const float* samples, int frames, int threads);
  // The same at a desk, which is another stream's buffers.
  void fill_last_down_at(SeanetEncoderStream& desk, const float* samples, int frames);
  // Takes over the state of what fill_last_down() runs.
  void copy_state(const SeanetEncoderStream& from);

  const SeanetEncoder* model_;
  int threads_;
  const Tap* tap_;
  std::vector<Stage> stages_;
  const float* next_sample_ = nullptr;
  RowBuffer samples_;
  RowBuffer last_input_;
  std::vector<kernels::AlignedFloats> scratch_;  // of each worker
  Desks<SeanetEncoderStream> desks_;
};

}  // namespace mimi
