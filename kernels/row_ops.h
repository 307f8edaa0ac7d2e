// The kernels that are not matrix products. Written once over Vec.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector_math.h"

namespace {

using mimi::kernels::AttentionTask;

void dot_rows(const GemmInput& a, int rows, const float* weights, float bias, float* output) {
  for (int t = 0; t < rows; ++t) {
    Vec sum = broadcast(0.0f);
    const float* w = weights;
    for (int tap = 0; tap < a.taps; ++tap) {
      const float* x = a.data + t * a.row_step + tap * a.tap_step;
      for (int k = 0; k < a.depth; k += kLanes, w += kLanes) sum = fma(load(x + k), load(w), sum);
    }
    output[t] = bias + sum_lanes(sum);
  }
}

inline float mean_of_squares(const float* x, int channels, Vec mean) {
  Vec sum = broadcast(0.0f);
  const int whole = channels / kLanes * kLanes;
  for (int c = 0; c < whole; c += kLanes) {
    const Vec d = load(x + c) - mean;
    sum = fma(d, d, sum);
  }
  if (whole < channels) {
    float tail[kLanes];
    store(tail, load(x + whole) - mean);
    for (int i = channels - whole; i < kLanes; ++i) tail[i] = 0.0f;
    const Vec d = load(tail);
    sum = fma(d, d, sum);
  }
  return sum_lanes(sum) / static_cast<float>(channels);
}

void layer_norm(const float* x, std::ptrdiff_t x_stride, int rows, int channels,
                const float* weight, const float* bias, float epsilon, float* y,
                std::ptrdiff_t y_stride) {
  for (int t = 0; t < rows; ++t, x += x_stride, y += y_stride) {
    Vec sum = broadcast(0.0f);
    for (int c = 0; c < channels; c += kLanes) sum = sum + load(x + c);
    const Vec mean = broadcast(sum_lanes(sum) / static_cast<float>(channels));
    const float variance = mean_of_squares(x, channels, mean);
    const Vec scale = broadcast(1.0f / __builtin_sqrtf(variance + epsilon));
    for (int c = 0; c < channels; c += kLanes) {
      // Padding: weight and bias are zero there, and so is y.
      store(y + c, fma((load(x + c) - mean) * scale, load(weight + c), load(bias + c)));
    }
  }
}

// Scores of the 16 keys of one ring block; those outside [first, last] become -infinity.
inline Vec block_scores(const AttentionTask& task, std::int64_t block, Vec lane_index) {
  const float* keys = task.keys + block % task.blocks * task.head_dim * kLanes;
  Vec score = broadcast(0.0f);
  for (int d = 0; d < task.head_dim; ++d) {
    score = fma(broadcast(task.query[d]), load(keys + d * kLanes), score);
  }
  const std::int64_t first = task.first_step - block * kLanes;
  const std::int64_t last = task.last_step - block * kLanes;
  if (first <= 0 && last >= kLanes - 1) return score;
  const Vec never = broadcast(-__builtin_inff());
  score = select(broadcast(static_cast<float>(first)) > lane_index, never, score);
  return select(lane_index > broadcast(static_cast<float>(last)), never, score);
}

// Fills weights with e^(score - largest) from the block of the first step on; returns their sum.
inline float softmax_weights(const AttentionTask& task) {
  constexpr float kIota[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Vec lane_index = load(kIota);
  const Vec never = broadcast(-__builtin_inff());
  const std::int64_t first_block = task.first_step / kLanes, last_block = task.last_step / kLanes;
  Vec largest = never;
  float* weights = task.weights;
  for (std::int64_t b = first_block; b <= last_block; ++b, weights += kLanes) {
    const Vec score = block_scores(task, b, lane_index);
    largest = max(score, largest);
    store(weights, score);
  }
  const Vec shift = broadcast(max_lanes(largest));
  Vec sum = broadcast(0.0f);
  weights = task.weights;
  for (std::int64_t b = first_block; b <= last_block; ++b, weights += kLanes) {
    const Vec score = load(weights);
    const Vec weight = select(score > never, exp_nonpositive(score - shift), broadcast(0.0f));
    sum = sum + weight;
    store(weights, weight);
  }
  return sum_lanes(sum);
}

// Adds weight * value over the steps, oldest first, for Vecs * 16 of the head's dimensions.
template <int Vecs>
void weighted_values(const AttentionTask& task, int dim, int value_stride, Vec divisor) {
  Vec sum[Vecs];
  for (Vec& s : sum) s = broadcast(0.0f);
  const std::int64_t first_block_step = task.first_step / kLanes * kLanes;
  const std::int64_t ring = task.blocks * kLanes;
  for (std::int64_t step = task.first_step; step <= task.last_step;) {
    std::int64_t slot = step % ring;
    const std::int64_t run =
        ring - slot < task.last_step - step + 1 ? ring - slot : task.last_step - step + 1;
    const float* value = task.values + slot * value_stride + dim;
    const float* weight = task.weights + (step - first_block_step);
    for (std::int64_t i = 0; i < run; ++i, value += value_stride) {
      const Vec w = broadcast(weight[i]);
      for (int v = 0; v < Vecs; ++v) sum[v] = fma(w, load(value + v * kLanes), sum[v]);
    }
    step += run;
  }
  for (int v = 0; v < Vecs; ++v) store(task.output + dim + v * kLanes, sum[v] / divisor);
}

void attention(const AttentionTask& task) {
  const Vec divisor = broadcast(softmax_weights(task));
  const int padded = (task.head_dim + kLanes - 1) / kLanes * kLanes;
  int dim = 0;
  for (; dim + 4 * kLanes <= padded; dim += 4 * kLanes) {
    weighted_values<4>(task, dim, padded, divisor);
  }
  for (; dim < padded; dim += kLanes) weighted_values<1>(task, dim, padded, divisor);
}

}  // namespace
