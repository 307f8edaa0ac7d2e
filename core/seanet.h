// SEANet: the convolutional encoder (24 kHz samples to 25 Hz rows) and decoder (and back).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "core/conv.h"

namespace mimi {

// x + conv1(elu(conv3(elu(x)))), the second convolution having a kernel of 1.
struct ResidualUnit {
  CausalConv narrow;  // to channels / compress
  CausalConv widen;   // back

  double flop_per_row() const { return narrow.flop_per_row() + widen.flop_per_row(); }
};

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

// The input of a stage's residual units: the rows, and their ELU with the history that the
// first convolution needs.
struct UnitRows {
  RowBuffer raw;
  RowBuffer elu;
};

// Where several streams are advanced together: a set of buffers for each worker, at which it works
// on one stream after the other. They stay in its caches, where the streams' own would not.
template <typename Stream>
struct Desks {
  int block_frames = 0;
  std::vector<std::unique_ptr<Stream>> of_worker;

  // Makes `count` of them by make() unless there are such that hold `frames`.
  template <typename Make>
  void prepare(int count, int frames, Make make) {
    if (block_frames >= frames && of_worker.size() >= static_cast<std::size_t>(count)) return;
    of_worker.clear();
    for (int i = 0; i < count; ++i) of_worker.push_back(make());
    block_frames = frames;
  }
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
