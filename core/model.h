// The weights of a whole codec, packed.
#pragma once

#include <optional>
#include <vector>

#include "core/codec.h"
#include "core/conv.h"
#include "core/quantizer.h"
#include "core/seanet_decoder.h"
#include "core/seanet_encoder.h"
#include "core/transformer.h"
#include "core/upsample.h"

namespace mimi {

struct Model::Impl {
  // Adds all weights to `reader`, whose run() fills them; `info` is left to the caller.
  Impl(WeightReader& reader, const ModelOptions& options);

  const kernels::KernelTable* table;
  ModelInfo info;
  ModelUse use;
  int levels;  // that can be used
  // Always set. Of what is not used only the shapes are there.
  std::optional<SeanetEncoder> encoder;
  std::optional<Transformer> encoder_transformer;
  CausalConv downsample;
  std::optional<Quantizer> quantizer;
  std::optional<DepthwiseUpsample> upsample;
  std::optional<Transformer> decoder_transformer;
  std::optional<SeanetDecoder> decoder;
};

// Throws Error where the model was opened for what it is not used for, or for fewer than `levels`
// levels of those that it has.
void check_use(const Model& model, ModelUse use, int levels);

kernels::Dtype kernels_dtype(Dtype dtype);

// What both directions make of StreamOptions. Throws Error when they are out of bounds.
int checked_block_frames(const StreamOptions& options);

// Throws Error when a stream cannot begin there.
void check_first_frame(std::int64_t first_frame);

// Throws Error when two streams may not be advanced together.
void check_same_batch(const Model& model, const StreamOptions& options, const Model& other,
                      const StreamOptions& other_options);

// Adds the time of its life to a stage's cost, an equal part to each stream's.
class StageTimer {
 public:
  StageTimer(std::vector<StageCost*> costs, double flop_a_stream);
  ~StageTimer();
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  std::vector<StageCost*> costs_;
  double start_seconds_;
};

}  // namespace mimi
