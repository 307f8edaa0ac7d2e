// SEANet's convolutional decoder: 25 Hz rows to 24 kHz samples.
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
struct SeanetDecoder {
  struct Stage {
    TransposedConv up;
    std::vector<ResidualUnit> units;
    std::string tap_name;
  };
  explicit SeanetDecoder(WeightReader& reader);
  SeanetDecoder(const SeanetDecoder&) = delete;
  SeanetDecoder& operator=(const SeanetDecoder&) = delete;

  kernels::Activation elu;
  CausalConv first;
  std::vector<Stage> stages;
  // The last convolution has one output channel: [kernel][channels padded], summed by dot_rows.
  int last_kernel = 0;
  std::vector<float> last_weights;
  float last_bias = 0;
  double flop_per_frame = 0;

 private:
  void load_last(WeightReader& reader, const std::string& name, int channels);
};

// State of one stream.
class SeanetDecoderStream {
 public:
  SeanetDecoderStream(const SeanetDecoder& model, const kernels::KernelTable& table,
                      int block_frames, int threads, const Tap& tap);

  // The first convolution's input: fill 2 rows a frame from row 0 on, then run().
  RowBuffer& input() { return input_; }
  // Writes [frames * frame_samples] samples of each stream. All streams are of one model; the first
  // one's thread count serves.
  static void run(std::span<SeanetDecoderStream* const> streams, int frames,
                  std::span<float* const> samples);

 private:
  struct Stage {
    int block_rows;  // of up_input, that it works on at once
    RowBuffer up_input;
    std::vector<UnitRows> inputs;
  };
  // Runs a stage over `rows` rows of its input, and after each of its blocks the stages behind it.
  void run_stage(std::size_t index, int rows, int threads);
  // What follows a stage's transposed convolution: `rows` rows of its output.
  void run_behind_up(std::size_t index, int rows, int threads);
  void run_last(int rows, int threads);
  // What follows the first stage's transposed convolution, at a desk, which is another stream's
  // buffers.
  void run_behind_first_up_at(SeanetDecoderStream& desk, int frames, float* samples);
  // Takes over the state of what run_behind_up(0, ...) runs.
  void copy_state(const SeanetDecoderStream& from);

  const SeanetDecoder* model_;
  const kernels::KernelTable* table_;
  int threads_;
  const Tap* tap_;
  RowBuffer input_;
  std::vector<Stage> stages_;
  RowBuffer last_input_;
  float* next_sample_ = nullptr;
  std::vector<kernels::AlignedFloats> scratch_;
  Desks<SeanetDecoderStream> desks_;
};

}  // namespace mimi
