#include "core/transformer.h"

#include <algorithm>
#include <cmath>

#include "core/linear.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

using kernels::KernelTable;
using kernels::kLanes;
using kernels::PackedMatrix;

int padded(int channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

std::vector<float> read_vector(const Checkpoint& checkpoint, const std::string& name, int size) {
  const Floats values = checkpoint.tensor(name, {size});
  std::vector<float> rows(static_cast<std::size_t>(padded(size)), 0.0f);
  std::copy(values.view().begin(), values.view().end(), rows.begin());
  return rows;
}

LayerNorm read_norm(const Checkpoint& checkpoint, const std::string& name, int size) {
  return {.weight = read_vector(checkpoint, name + ".weight", size),
          .bias = read_vector(checkpoint, name + ".bias", size),
          .epsilon = static_cast<float>(checkpoint.config().norm_eps)};
}

PackedMatrix read_linear(const kernels::Packing& packing, const Checkpoint& checkpoint,
                         const std::string& name, int depth, int columns) {
  return pack_linear(packing, checkpoint.tensor(name + ".weight", {columns, depth}).view(), depth,
                     columns);
}

// The three projections as one matrix: q's columns, then k's, then v's.
PackedMatrix read_qkv(const kernels::Packing& packing, const Checkpoint& checkpoint,
                      const std::string& attention, int hidden) {
  std::vector<float> joined;
  for (const char* projection : {"q", "k", "v"}) {
    const Floats weights =
        checkpoint.tensor(attention + "." + projection + "_proj.weight", {hidden, hidden});
    joined.insert(joined.end(), weights.view().begin(), weights.view().end());
  }
  return pack_linear(packing, joined, hidden, 3 * hidden);
}

}  // namespace

int attended_steps(int window_steps, Window rule, std::int64_t step) {
  if (rule == Window::kMoshiStreaming && step % 2 == 0) return window_steps - 1;
  return rule == Window::kRust ? window_steps + 1 : window_steps;
}

Transformer::Transformer(const kernels::Packing& packing, const Checkpoint& checkpoint,
                         const std::string& transformer_name)
    : name(transformer_name) {
  const Config& config = checkpoint.config();
  hidden = config.hidden_size;
  heads = config.num_attention_heads;
  head_dim = config.head_dim();
  intermediate = config.intermediate_size;
  window = config.sliding_window;
  rope_theta = config.rope_theta;
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = name + ".layers." + std::to_string(i);
    layers.push_back(
        {.attention_norm = read_norm(checkpoint, prefix + ".input_layernorm", hidden),
         .mlp_norm = read_norm(checkpoint, prefix + ".post_attention_layernorm", hidden),
         .qkv = read_qkv(packing, checkpoint, prefix + ".self_attn", hidden),
         .out = read_linear(packing, checkpoint, prefix + ".self_attn.o_proj", hidden, hidden),
         .attention_scale =
             read_vector(checkpoint, prefix + ".self_attn_layer_scale.scale", hidden),
         .mlp_scale = read_vector(checkpoint, prefix + ".mlp_layer_scale.scale", hidden),
         .fc1 = read_linear(packing, checkpoint, prefix + ".mlp.fc1", hidden, intermediate),
         .fc2 = read_linear(packing, checkpoint, prefix + ".mlp.fc2", intermediate, hidden)});
    const Layer& layer = layers.back();
    flop_per_step += layer.qkv.flop_per_row() + layer.out.flop_per_row() +
                     layer.fc1.flop_per_row() + layer.fc2.flop_per_row() +
                     4.0 * window * hidden;  // scores and weighted values
  }
}

KvRing::KvRing(int heads, int head_dim, int steps)
    : head_dim_(head_dim), padded_dim_(padded(head_dim)), blocks_(steps / kLanes + 2) {
  const auto size = static_cast<std::size_t>(heads * blocks_ * kLanes);
  keys_ = kernels::AlignedFloats(size * static_cast<std::size_t>(head_dim_));
  values_ = kernels::AlignedFloats(size * static_cast<std::size_t>(padded_dim_));
}

const float* KvRing::keys(int head) const {
  return keys_.data() + head * blocks_ * head_dim_ * kLanes;
}

const float* KvRing::values(int head) const {
  return values_.data() + head * blocks_ * kLanes * padded_dim_;
}

void KvRing::put(std::int64_t step, int head, const float* key, const float* value) {
  const std::int64_t block = head * blocks_ + step / kLanes % blocks_;
  const std::int64_t lane = step % kLanes;
  float* key_lane = keys_.data() + block * head_dim_ * kLanes + lane;
  for (int d = 0; d < head_dim_; ++d) key_lane[d * kLanes] = key[d];
  std::copy_n(value, head_dim_, values_.data() + (block * kLanes + lane) * padded_dim_);
}

TransformerStream::TransformerStream(const Transformer& model, const KernelTable& table,
                                     const StreamOptions& options, int block_steps,
                                     std::int64_t first_step)
    : model_(&model),
      table_(&table),
      window_(options.window),
      threads_(options.threads),
      tap_(&options.tap),
      first_step_(first_step),
      step_(first_step),
      rope_(model.head_dim, model.rope_theta, block_steps),
      middle_(model.hidden, 0, block_steps),
      normed_(model.hidden, 0, block_steps),
      qkv_(3 * model.hidden, 0, block_steps),
      attended_(model.hidden, 0, block_steps),
      inner_(model.intermediate, 0, block_steps) {
  // The first query of a block still needs the steps before it when the last one's key is stored.
  const int ring_steps = model.window + 1 + block_steps;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    rings_.emplace_back(model.heads, model.head_dim, ring_steps);
  }
  const std::int64_t floats = rings_.front().blocks() * kLanes + 2 * padded(model.head_dim);
  for (int i = 0; i < threads_; ++i) scratch_.emplace_back(static_cast<std::size_t>(floats));
}

void TransformerStream::run(RowBuffer& x, int steps) {
  rope_.prepare(step_, steps);
  for (std::size_t i = 0; i < model_->layers.size(); ++i) {
    const Transformer::Layer& layer = model_->layers[i];
    normalize(layer.attention_norm, x, steps);
    kernels::parallel_gemm(threads_, layer.qkv, gemm_rows(normed_), steps,
                           {qkv_.row(0), qkv_.stride(), {}});
    store_keys_and_values(rings_[i], steps);
    attend(rings_[i], steps);
    kernels::parallel_gemm(threads_, layer.out, gemm_rows(attended_), steps,
                           {middle_.row(0),
                            middle_.stride(),
                            {.residual = x.row(0),
                             .residual_stride = x.stride(),
                             .scale = layer.attention_scale.data()}});

    normalize(layer.mlp_norm, middle_, steps);
    kernels::parallel_gemm(
        threads_, layer.fc1, gemm_rows(normed_), steps,
        {inner_.row(0), inner_.stride(), {.activation = kernels::Activation::kGelu}});
    kernels::parallel_gemm(threads_, layer.fc2, gemm_rows(inner_), steps,
                           {x.row(0),
                            x.stride(),
                            {.residual = middle_.row(0),
                             .residual_stride = middle_.stride(),
                             .scale = layer.mlp_scale.data()}});
    if (*tap_) {
      (*tap_)(model_->name + "." + std::to_string(i), x.row(0), steps, x.channels(), x.stride());
    }
  }
  step_ += steps;
}

void TransformerStream::normalize(const LayerNorm& norm, const RowBuffer& x, int steps) {
  table_->layer_norm(x.row(0), x.stride(), steps, x.channels(), norm.weight.data(),
                     norm.bias.data(), norm.epsilon, normed_.row(0), normed_.stride());
}

void TransformerStream::store_keys_and_values(KvRing& ring, int steps) {
  const int hidden = model_->hidden, head_dim = model_->head_dim;
  float* rotated = scratch_.front().data();
  for (int t = 0; t < steps; ++t) {
    const float* key = qkv_.row(t) + hidden;
    const float* value = key + hidden;
    for (int head = 0; head < model_->heads; ++head) {
      rope_.rotate(t, key + head * head_dim, 1.0f, rotated);
      ring.put(step_ + t, head, rotated, value + head * head_dim);
    }
  }
}

std::int64_t TransformerStream::oldest_step(std::int64_t step) const {
  return std::max(first_step_, step - attended_steps(model_->window, window_, step) + 1);
}

void TransformerStream::attend(const KvRing& ring, int steps) {
  const int head_dim = model_->head_dim, heads = model_->heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const double flop = 4.0 * model_->window * model_->hidden * steps;
  const int threads = kernels::worthwhile_threads(threads_, flop);
  kernels::parallel_for(threads, steps * heads, [&](int task, int worker) {
    // Neighbouring tasks read the same keys.
    const int head = task / steps, t = task % steps;
    float* query = scratch_[static_cast<std::size_t>(worker)].data();
    float* output = query + padded(head_dim);
    rope_.rotate(t, qkv_.row(t) + head * head_dim, scale, query);
    const std::int64_t step = step_ + t;
    table_->attention({.query = query,
                       .keys = ring.keys(head),
                       .values = ring.values(head),
                       .head_dim = head_dim,
                       .blocks = ring.blocks(),
                       .first_step = oldest_step(step),
                       .last_step = step,
                       .weights = output + padded(head_dim),
                       .output = output});
    std::copy_n(output, head_dim, attended_.row(t) + head * head_dim);
  });
}

}  // namespace mimi
