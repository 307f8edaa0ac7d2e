// The kernels that are not matrix products. Written once over Vec.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector_math.h"

namespace {

using mimi::kernels::AttentionQuery;
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

// As many sums at a time as hide the latency of one and fit the registers.
constexpr int kScoreBlocks = 2 * kPanelVecs;
constexpr int kValueVecs = 2 * kPanelVecs;
// Queries at a time: the more, the fewer times keys and values come out of the second-level cache.
constexpr int kQueries = 2 * kPanelVecs;
static_assert(kQueries <= mimi::kernels::kMostQueries);

inline int value_stride(const AttentionTask& task) {
  return (task.head_dim + kLanes - 1) / kLanes * kLanes;
}

// Scores outside the query's steps become -infinity.
inline Vec masked(const AttentionQuery& query, std::int64_t block, Vec score) {
  constexpr float kIota[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const std::int64_t first = query.first_step - block * kLanes;
  const std::int64_t last = query.last_step - block * kLanes;
  if (first <= 0 && last >= kLanes - 1) return score;
  const Vec lane = load(kIota), never = broadcast(-__builtin_inff());
  score = select(broadcast(static_cast<float>(first)) > lane, never, score);
  return select(lane > broadcast(static_cast<float>(last)), never, score);
}

// The scores of each query and the keys of some ring blocks, in its weights from `place` on. The
// blocks' values, which are needed next, are fetched meanwhile.
template <int Queries, int Blocks>
void score_blocks(const AttentionTask& task, std::int64_t block, std::int64_t place) {
  const float* keys[Blocks];
  const float* values[Blocks];
  Vec score[Queries][Blocks];
  for (int b = 0; b < Blocks; ++b) {
    const std::int64_t slot = (block + b) % task.blocks * kLanes;
    keys[b] = task.keys + slot * task.head_dim;
    values[b] = task.values + slot * value_stride(task);
    for (int q = 0; q < Queries; ++q) score[q][b] = broadcast(0.0f);
  }
  for (int d = 0; d < task.head_dim; ++d) {
    Vec key[Blocks];
    for (int b = 0; b < Blocks; ++b) {
      key[b] = load(keys[b] + d * kLanes);
      __builtin_prefetch(values[b] + d * kLanes, 0, 2);
    }
    for (int q = 0; q < Queries; ++q) {
      const Vec x = broadcast(task.queries[q].query[d]);
      for (int b = 0; b < Blocks; ++b) score[q][b] = fma(x, key[b], score[q][b]);
    }
  }
  for (int q = 0; q < Queries; ++q) {
    for (int b = 0; b < Blocks; ++b) {
      const AttentionQuery& query = task.queries[q];
      store(query.weights + place + b * kLanes, masked(query, block + b, score[q][b]));
    }
  }
}

// `count` Vecs of scores become e^(score - largest); returns their sum.
inline float softmax_weights(float* weights, std::int64_t count) {
  const Vec never = broadcast(-__builtin_inff());
  Vec largest = never;
  for (std::int64_t i = 0; i < count; ++i) largest = max(load(weights + i * kLanes), largest);
  const Vec shift = broadcast(max_lanes(largest));
  Vec sum = broadcast(0.0f);
  for (std::int64_t i = 0; i < count; ++i) {
    const Vec score = load(weights + i * kLanes);
    const Vec weight = select(score > never, exp_nonpositive(score - shift), broadcast(0.0f));
    sum = sum + weight;
    store(weights + i * kLanes, weight);
  }
  return sum_lanes(sum);
}

// A part of the values' sums of each query, for Vecs * 16 of the head's dimensions from `dim` on.
template <int Queries, int Vecs>
struct ValueSums {
  Vec sum[Queries][Vecs];

  // Steps [first, last], oldest first, of the queries from `first_query` on; the keys of the same
  // steps that are needed next are fetched meanwhile.
  template <int Count>
  void add(const AttentionTask& task, int first_query, std::int64_t first, std::int64_t last,
           std::int64_t weights_from, int dim) {
    const int stride = value_stride(task);
    const std::int64_t ring = task.blocks * kLanes;
    Vec s[Count][Vecs];
    for (int q = 0; q < Count; ++q) {
      for (int v = 0; v < Vecs; ++v) s[q][v] = sum[first_query + q][v];
    }
    for (std::int64_t step = first; step <= last;) {
      const std::int64_t slot = step % ring;
      const std::int64_t run = ring - slot < last - step + 1 ? ring - slot : last - step + 1;
      const float* value = task.values + slot * stride + dim;
      const float* next_key = task.next_keys + slot * task.head_dim + dim;
      for (std::int64_t end = step + run; step < end; ++step, value += stride) {
        for (int v = 0; v < Vecs; ++v) __builtin_prefetch(next_key + v * kLanes, 0, 2);
        next_key += task.head_dim;
        for (int q = 0; q < Count; ++q) {
          const Vec w = broadcast(task.queries[first_query + q].weights[step - weights_from]);
          for (int v = 0; v < Vecs; ++v) s[q][v] = fma(w, load(value + v * kLanes), s[q][v]);
        }
      }
    }
    for (int q = 0; q < Count; ++q) {
      for (int v = 0; v < Vecs; ++v) sum[first_query + q][v] = s[q][v];
    }
  }
};

template <int Queries, int Vecs>
void weighted_values(const AttentionTask& task, std::int64_t weights_from, int dim,
                     const float* divisors) {
  ValueSums<Queries, Vecs> sums;
  for (auto& query : sums.sum) {
    for (Vec& s : query) s = broadcast(0.0f);
  }
  // What each attends to before all do, what all do, and what each does after that.
  const std::int64_t shared = task.queries[Queries - 1].first_step;
  const std::int64_t end = task.queries[0].last_step + 1;
  const std::int64_t rest = end > shared ? end : shared;
  for (int q = 0; q < Queries; ++q) {
    const AttentionQuery& query = task.queries[q];
    const std::int64_t last = query.last_step < shared - 1 ? query.last_step : shared - 1;
    sums.template add<1>(task, q, query.first_step, last, weights_from, dim);
  }
  sums.template add<Queries>(task, 0, shared, end - 1, weights_from, dim);
  for (int q = 0; q < Queries; ++q) {
    const AttentionQuery& query = task.queries[q];
    const std::int64_t first = query.first_step > rest ? query.first_step : rest;
    sums.template add<1>(task, q, first, query.last_step, weights_from, dim);
  }
  for (int q = 0; q < Queries; ++q) {
    for (int v = 0; v < Vecs; ++v) {
      store(task.queries[q].output + dim + v * kLanes, sums.sum[q][v] / broadcast(divisors[q]));
    }
  }
}

template <int Queries>
void attend(const AttentionTask& task) {
  const std::int64_t first_block = task.queries[0].first_step / kLanes;
  const std::int64_t end_block = task.queries[Queries - 1].last_step / kLanes + 1;
  std::int64_t b = first_block;
  for (; b + kScoreBlocks <= end_block; b += kScoreBlocks) {
    score_blocks<Queries, kScoreBlocks>(task, b, (b - first_block) * kLanes);
  }
  for (; b < end_block; ++b) score_blocks<Queries, 1>(task, b, (b - first_block) * kLanes);
  float divisors[Queries];
  for (int q = 0; q < Queries; ++q) {
    divisors[q] = softmax_weights(task.queries[q].weights, end_block - first_block);
  }
  int dim = 0;
  for (; dim + kValueVecs * kLanes <= task.head_dim; dim += kValueVecs * kLanes) {
    weighted_values<Queries, kValueVecs>(task, first_block * kLanes, dim, divisors);
  }
  for (; dim < task.head_dim; dim += kLanes) {
    weighted_values<Queries, 1>(task, first_block * kLanes, dim, divisors);
  }
}

void attention(const AttentionTask& task) {
  AttentionTask part = task;
  for (int first = 0; first < task.count; first += part.count) {
    const int left = task.count - first;
    part.count = left >= kQueries ? kQueries : left >= 2 ? 2 : 1;
    for (int q = 0; q < part.count; ++q) part.queries[q] = task.queries[first + q];
    if (part.count == kQueries) {
      attend<kQueries>(part);
    } else if (part.count == 2) {
      attend<2>(part);
    } else {
      attend<1>(part);
    }
  }
}

}  // namespace
