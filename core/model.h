// The weights of a whole codec, packed.
#pragma once

#include "core/codec.h"
#include "core/conv.h"
#include "core/quantizer.h"
#include "core/seanet.h"
#include "core/transformer.h"
#include "core/upsample.h"

namespace mimi {

struct Model::Impl {
  Impl(const kernels::KernelTable& table, const Checkpoint& checkpoint);

  const kernels::KernelTable* table;
  SeanetEncoder encoder;
  Transformer encoder_transformer;
  CausalConv downsample;
  Quantizer quantizer;
  DepthwiseUpsample upsample;
  Transformer decoder_transformer;
  SeanetDecoder decoder;
  ModelInfo info;
};

// What both directions make of StreamOptions. Throws Error when they are out of bounds.
int checked_block_frames(const StreamOptions& options);

// Adds the time of its life to a stage's cost.
class StageTimer {
 public:
  StageTimer(StageCost& cost, double flop);
  ~StageTimer();
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  StageCost& cost_;
  double start_seconds_;
};

}  // namespace mimi
