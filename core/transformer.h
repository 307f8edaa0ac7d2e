// The transformer at 25 Hz: layers of attention over a window of past steps and an MLP, each with
// a norm before it and a learnt scale on its way back into the stream.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "core/rope.h"
#include "core/row_buffer.h"
#include "core/weight_reader.h"
#include "kernels/gemm.h"

namespace mimi {

struct LayerNorm {
  std::vector<float> weight, bias;  // [hidden padded]
  float epsilon;
};

// How many steps, itself included, a step attends to by the rule, when all of them are there.
int attended_steps(int window_steps, Window rule, std::int64_t step);

// Weights.
struct Transformer {
  struct Layer {
    LayerNorm attention_norm, mlp_norm;
    kernels::PackedMatrix qkv;                      // hidden -> q, k, v
    kernels::PackedMatrix out;                      // hidden -> hidden
    std::vector<float> attention_scale, mlp_scale;  // [hidden padded]
    kernels::PackedMatrix fc1, fc2;                 // hidden -> intermediate -> hidden
  };
  // `name` is "encoder_transformer" or "decoder_transformer".
  Transformer(WeightReader& reader, const std::string& name);
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  std::vector<Layer> layers;
  std::string name;
  int hidden, heads, head_dim, intermediate, window;
  double rope_theta;
  double flop_per_step;  // with a full window

 private:
  void load_layer(WeightReader& reader, std::size_t index);
};

// The keys and values of the last steps, as the attention kernel wants them.
class KvRing {
 public:
  // `memory` is size() zeros, and stays the owner's.
  KvRing(int heads, int head_dim, int steps, float* memory);
  static std::size_t size(int heads, int head_dim, int steps);

  std::int64_t blocks() const { return blocks_; }
  // Stores one step's key (rotated) and value of one head, both [head_dim].
  void put(std::int64_t step, int head, const float* key, const float* value);
  const float* keys(int head) const;
  const float* values(int head) const;

 private:
  int head_dim_, padded_dim_;
  std::int64_t blocks_;
  float* keys_;    // [heads][blocks][head_dim][16]
  float* values_;  // [heads][blocks][16][head_dim padded]
};

// State of one stream.
class TransformerStream {
 public:
  // The first row is step `first_step` of its stream; nothing before it is attended to.
  TransformerStream(const Transformer& model, const kernels::KernelTable& table,
                    const StreamOptions& options, int block_steps, std::int64_t first_step);

  // Replaces `steps` rows of each stream's x, [steps x hidden], from row 0 on. All streams are of
  // one model; the first one's thread count serves.
  static void run(std::span<TransformerStream* const> streams, std::span<RowBuffer* const> x,
                  int steps);

 private:
  struct Together;

  void normalize(const LayerNorm& norm, const RowBuffer& x, int steps);
  void store_keys_and_values(KvRing& ring, int steps, int head, int worker);
  // Of one head, for rows of `steps` from `first_row` on, as many as share a task.
  void attend(const KvRing& ring, int first_row, int steps, int head, int worker);
  std::int64_t oldest_step(std::int64_t step) const;

  const Transformer* model_;
  const kernels::KernelTable* table_;
  Window window_;
  int threads_;
  const Tap* tap_;
  std::int64_t first_step_;
  std::int64_t step_;  // of row 0
  Rope rope_;
  kernels::AlignedFloats ring_memory_;
  std::vector<KvRing> rings_;  // of each layer
  RowBuffer middle_;           // x after attention
  RowBuffer normed_;
  RowBuffer qkv_;
  RowBuffer attended_;
  RowBuffer inner_;  // [block_steps x intermediate]
  // Of each worker, for each row of a task: query, output, weights.
  std::vector<kernels::AlignedFloats> scratch_;
};

}  // namespace mimi
