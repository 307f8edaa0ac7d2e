#include "core/transformer.h"

#include <algorithm>
#include <cmath>

#include "core/linear.h"
#include "kernels/batch.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

using kernels::KernelTable;
using kernels::kLanes;
using kernels::PackedMatrix;

std::int64_t blocks_for(int steps) { return steps / kLanes + 2; }

int padded(int channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

void load_vector(WeightReader& reader, const std::string& name, int size,
                 std::vector<float>& padded_values) {
  const TensorSpec tensor = {name, {size}};
  reader.add({tensor}, [tensor, size, &padded_values, &checkpoint = reader.checkpoint()] {
    const Floats values = checkpoint.read(tensor);
    padded_values.assign(static_cast<std::size_t>(padded(size)), 0.0f);
    std::copy(values.view().begin(), values.view().end(), padded_values.begin());
  });
}

void load_norm(WeightReader& reader, const std::string& name, int size, LayerNorm& norm) {
  load_vector(reader, name + ".weight", size, norm.weight);
  load_vector(reader, name + ".bias", size, norm.bias);
  norm.epsilon = static_cast<float>(reader.checkpoint().config().norm_eps);
}

// The columns of several linear layers side by side, as one matrix.
void load_linear(WeightReader& reader, const std::vector<std::string>& names, int depth,
                 int columns, PackedMatrix& matrix) {
  std::vector<TensorSpec> tensors;
  for (const std::string& name : names) {
    tensors.push_back(
        {.name = name + ".weight", .shape = {columns, depth}, .dtype = reader.packing().dtype});
  }
  reader.add(tensors, [tensors, depth, columns, &matrix, packing = reader.packing(),
                       &checkpoint = reader.checkpoint()] {
    const auto parts = static_cast<int>(tensors.size());
    matrix = PackedMatrix(packing, 1, depth, parts * columns);
    for (int i = 0; i < parts; ++i) {
      const Weights weights = checkpoint.read_weights(tensors[static_cast<std::size_t>(i)]);
      matrix.set_columns(i * columns, linear_layout(weights, depth, columns));
    }
  });
}

}  // namespace

int attended_steps(int window_steps, Window rule, std::int64_t step) {
  if (rule == Window::kMoshiStreaming && step % 2 == 0) return window_steps - 1;
  return rule == Window::kRust ? window_steps + 1 : window_steps;
}

Transformer::Transformer(WeightReader& reader, const std::string& transformer_name)
    : name(transformer_name) {
  const Config& config = reader.checkpoint().config();
  hidden = config.hidden_size;
  heads = config.num_attention_heads;
  head_dim = config.head_dim();
  intermediate = config.intermediate_size;
  window = config.sliding_window;
  rope_theta = config.rope_theta;
  layers.resize(static_cast<std::size_t>(config.num_hidden_layers));
  for (std::size_t i = 0; i < layers.size(); ++i) load_layer(reader, i);
  flop_per_step = config.num_hidden_layers * (2.0 * hidden * (4.0 * hidden + 2.0 * intermediate) +
                                              4.0 * window * hidden);  // scores and weighted values
}

void Transformer::load_layer(WeightReader& reader, std::size_t index) {
  Layer& layer = layers[index];
  const std::string prefix = name + ".layers." + std::to_string(index);
  const std::string attention = prefix + ".self_attn";
  load_norm(reader, prefix + ".input_layernorm", hidden, layer.attention_norm);
  load_norm(reader, prefix + ".post_attention_layernorm", hidden, layer.mlp_norm);
  load_linear(reader, {attention + ".q_proj", attention + ".k_proj", attention + ".v_proj"}, hidden,
              hidden, layer.qkv);
  load_linear(reader, {attention + ".o_proj"}, hidden, hidden, layer.out);
  load_vector(reader, prefix + ".self_attn_layer_scale.scale", hidden, layer.attention_scale);
  load_vector(reader, prefix + ".mlp_layer_scale.scale", hidden, layer.mlp_scale);
  load_linear(reader, {prefix + ".mlp.fc1"}, hidden, intermediate, layer.fc1);
  load_linear(reader, {prefix + ".mlp.fc2"}, intermediate, hidden, layer.fc2);
}

KvRing::KvRing(int heads, int head_dim, int steps, float* memory)
    : head_dim_(head_dim),
      padded_dim_(padded(head_dim)),
      blocks_(blocks_for(steps)),
      keys_(memory),
      values_(memory + heads * blocks_ * kLanes * head_dim_) {}

std::size_t KvRing::size(int heads, int head_dim, int steps) {
  return static_cast<std::size_t>(heads * blocks_for(steps) * kLanes *
                                  (head_dim + padded(head_dim)));
}

const float* KvRing::keys(int head) const { return keys_ + head * blocks_ * head_dim_ * kLanes; }

const float* KvRing::values(int head) const {
  return values_ + head * blocks_ * kLanes * padded_dim_;
}

void KvRing::put(std::int64_t step, int head, const float* key, const float* value) {
  const std::int64_t block = head * blocks_ + step / kLanes % blocks_;
  const std::int64_t lane = step % kLanes;
  float* key_lane = keys_ + block * head_dim_ * kLanes + lane;
  for (int d = 0; d < head_dim_; ++d) key_lane[d * kLanes] = key[d];
  std::copy_n(value, head_dim_, values_ + (block * kLanes + lane) * padded_dim_);
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
  const std::size_t size = KvRing::size(model.heads, model.head_dim, ring_steps);
  ring_memory_ = kernels::AlignedFloats(size * model.layers.size());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    rings_.emplace_back(model.heads, model.head_dim, ring_steps, ring_memory_.data() + i * size);
  }
  const std::int64_t floats = rings_.front().blocks() * kLanes + 2 * padded(model.head_dim);
  for (int i = 0; i < threads_; ++i) {
    scratch_.emplace_back(static_cast<std::size_t>(kernels::kMostQueries * floats));
  }
}

// Streams that are advanced together by the same number of steps.
struct TransformerStream::Together {
  const Transformer& model;
  int threads;
  std::span<TransformerStream* const> streams;
  std::span<RowBuffer* const> x;
  int steps;
  std::vector<kernels::BatchItem> items = {};  // kept for their memory

  int count() const { return static_cast<int>(streams.size()); }
  TransformerStream& stream_at(int i) const { return *streams[static_cast<std::size_t>(i)]; }
  RowBuffer& x_at(int i) const { return *x[static_cast<std::size_t>(i)]; }

  // Products of rows(stream) for every stream, each as output(stream, its x) says.
  template <typename Output>
  void multiply(const PackedMatrix& weights, RowBuffer TransformerStream::*rows, Output output) {
    items.clear();
    for (int i = 0; i < count(); ++i) {
      items.push_back({gemm_rows(stream_at(i).*rows), output(stream_at(i), x_at(i))});
    }
    kernels::batch_gemm(threads, weights, items, steps);
  }

  void attention(std::size_t layer);
  void store_keys_and_values(std::size_t layer) const;
  void attend(std::size_t layer) const;
  void mlp(std::size_t layer);
  void report(std::size_t layer) const;
};

// middle_ = x + scale * out(attend(q, k, v of the normed x))
void TransformerStream::Together::attention(std::size_t layer) {
  const Transformer::Layer& weights = model.layers[layer];
  for (int i = 0; i < count(); ++i) {
    stream_at(i).normalize(weights.attention_norm, x_at(i), steps);
  }
  multiply(weights.qkv, &TransformerStream::normed_, [](TransformerStream& s, RowBuffer&) {
    return kernels::GemmOutput{s.qkv_.row(0), s.qkv_.stride(), {}};
  });
  store_keys_and_values(layer);
  attend(layer);
  multiply(weights.out, &TransformerStream::attended_, [&](TransformerStream& s, RowBuffer& input) {
    return kernels::GemmOutput{s.middle_.row(0),
                               s.middle_.stride(),
                               {.residual = input.row(0),
                                .residual_stride = input.stride(),
                                .scale = weights.attention_scale.data()}};
  });
}

void TransformerStream::Together::store_keys_and_values(std::size_t layer) const {
  constexpr double kStoreFlop = 100;  // each of a key's values goes to a line of its own
  const double flop = kStoreFlop * model.hidden * steps * count();
  kernels::parallel_for(
      kernels::worthwhile_threads(threads, flop), count() * model.heads, [&](int task, int worker) {
        TransformerStream& s = stream_at(task / model.heads);
        s.store_keys_and_values(s.rings_[layer], steps, task % model.heads, worker);
      });
}

void TransformerStream::Together::attend(std::size_t layer) const {
  const double flop = 4.0 * model.window * model.hidden * steps * count();
  constexpr int kRows = kernels::kMostQueries;
  const int groups = (steps + kRows - 1) / kRows;
  kernels::parallel_for(kernels::worthwhile_threads(threads, flop), count() * model.heads * groups,
                        [&](int task, int worker) {
                          // Neighbouring tasks read the same keys.
                          TransformerStream& s = stream_at(task / (model.heads * groups));
                          s.attend(s.rings_[layer], kRows * (task % groups), steps,
                                   task / groups % model.heads, worker);
                        });
}

// x = middle_ + scale * fc2(gelu(fc1(the normed middle_)))
void TransformerStream::Together::mlp(std::size_t layer) {
  const Transformer::Layer& weights = model.layers[layer];
  for (TransformerStream* s : streams) s->normalize(weights.mlp_norm, s->middle_, steps);
  multiply(weights.fc1, &TransformerStream::normed_, [](TransformerStream& s, RowBuffer&) {
    return kernels::GemmOutput{
        s.inner_.row(0), s.inner_.stride(), {.activation = kernels::Activation::kGelu}};
  });
  multiply(weights.fc2, &TransformerStream::inner_, [&](TransformerStream& s, RowBuffer& output) {
    return kernels::GemmOutput{output.row(0),
                               output.stride(),
                               {.residual = s.middle_.row(0),
                                .residual_stride = s.middle_.stride(),
                                .scale = weights.mlp_scale.data()}};
  });
}

void TransformerStream::Together::report(std::size_t layer) const {
  for (int i = 0; i < count(); ++i) {
    const Tap& tap = *stream_at(i).tap_;
    const RowBuffer& output = x_at(i);
    if (!tap) continue;
    tap(model.name + "." + std::to_string(layer), output.row(0), steps, output.channels(),
        output.stride());
  }
}

void TransformerStream::run(std::span<TransformerStream* const> streams,
                            std::span<RowBuffer* const> x, int steps) {
  const Transformer& model = *streams.front()->model_;
  Together together = {model, streams.front()->threads_, streams, x, steps};
  for (TransformerStream* s : streams) s->rope_.prepare(s->step_, steps);
  for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
    together.attention(layer);
    together.mlp(layer);
    together.report(layer);
  }
  for (TransformerStream* s : streams) s->step_ += steps;
}

void TransformerStream::normalize(const LayerNorm& norm, const RowBuffer& x, int steps) {
  table_->layer_norm(x.row(0), x.stride(), steps, x.channels(), norm.weight.data(),
                     norm.bias.data(), norm.epsilon, normed_.row(0), normed_.stride());
}

void TransformerStream::store_keys_and_values(KvRing& ring, int steps, int head, int worker) {
  const int hidden = model_->hidden;
  float* rotated = scratch_[static_cast<std::size_t>(worker)].data();
  for (int t = 0; t < steps; ++t) {
    const float* key = qkv_.row(t) + hidden + head * model_->head_dim;
    rope_.rotate(t, key, 1.0f, rotated);
    ring.put(step_ + t, head, rotated, key + hidden);
  }
}

std::int64_t TransformerStream::oldest_step(std::int64_t step) const {
  return std::max(first_step_, step - attended_steps(model_->window, window_, step) + 1);
}

void TransformerStream::attend(const KvRing& ring, int first_row, int steps, int head, int worker) {
  const int head_dim = model_->head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  // Who attends with the last rows is likely to go on with the next head.
  const int count = std::min(kernels::kMostQueries, steps - first_row);
  const bool last = first_row + count == steps && head + 1 < model_->heads;
  kernels::AttentionTask task = {.keys = ring.keys(head),
                                 .values = ring.values(head),
                                 .next_keys = ring.keys(last ? head + 1 : head),
                                 .head_dim = head_dim,
                                 .blocks = ring.blocks(),
                                 .count = count,
                                 .queries = {}};
  float* scratch = scratch_[static_cast<std::size_t>(worker)].data();
  for (int i = 0; i < task.count; ++i) {
    const int row = first_row + i;
    float* const query = scratch;
    float* const output = query + padded(head_dim);
    float* const weights = output + padded(head_dim);
    scratch = weights + ring.blocks() * kLanes;
    rope_.rotate(row, qkv_.row(row) + head * head_dim, scale, query);
    task.queries[i] = {.query = query,
                       .first_step = oldest_step(step_ + row),
                       .last_step = step_ + row,
                       .weights = weights,
                       .output = output};
  }
  table_->attention(task);
  for (int i = 0; i < task.count; ++i) {
    std::copy_n(task.queries[i].output, head_dim, attended_.row(first_row + i) + head * head_dim);
  }
}

}  // namespace mimi
