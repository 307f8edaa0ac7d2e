#include "tests/reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace mimi::test {
namespace {

using kernels::Activation;
using kernels::GemmInput;
using kernels::kLanes;

float input_at(const GemmInput& a, int t, int k) {
  return a.data[t * a.row_step + k / a.depth * a.tap_step + k % a.depth];
}

}  // namespace

bool within(const Bounded& expected, float found) {
  return std::abs(found - expected.value) <= expected.bound;
}

Bounded product(const GemmInput& a, int t, const float* column, std::ptrdiff_t step, double bias) {
  double sum = bias, magnitude = std::abs(bias);
  const int depth = a.taps * a.depth;
  for (int k = 0; k < depth; ++k) {
    const double term = double{input_at(a, t, k)} * column[k * step];
    sum += term;
    magnitude += std::abs(term);
  }
  return {sum, depth * kUnit * magnitude};
}

float product_chain(const GemmInput& a, int t, const float* column, std::ptrdiff_t step,
                    float bias) {
  float sum = bias;
  for (int k = 0; k < a.taps * a.depth; ++k) {
    sum = std::fma(input_at(a, t, k), column[k * step], sum);
  }
  return sum;
}

Bounded scaled_product(const GemmInput& a, int t, const float* column, std::ptrdiff_t step,
                       const RowScales& scales, double column_scale, double bias) {
  double sum = 0, magnitude = 0;
  for (int tap = 0; tap < a.taps; ++tap) {
    const GemmInput one = {a.data + tap * a.tap_step, a.row_step, 0, 1, a.depth};
    const double exact = product(one, t, column + tap * a.depth * step, step, 0).value;
    const double term = exact * scales.data[t * scales.row_step + tap * scales.tap_step];
    sum += term;
    magnitude += std::abs(term);
  }
  const double value = sum * column_scale + bias;
  // A rounding for each tap, and one of the whole.
  return {value, kUnit * (a.taps * magnitude * std::abs(column_scale) * 1.01 + std::abs(value))};
}

double nearest_bf16(double x) {
  if (x == 0) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), -126) - 7);
  return std::nearbyint(x / unit) * unit;
}

Bounded quantized_scale(std::span<const float> row) {
  double largest = 0;
  for (const float x : row) largest = std::max(largest, std::abs(double{x}));
  constexpr double kSubnormal = 0x1p-149;
  return {largest / 127, kUnit * largest / 127 + kSubnormal};
}

Bounded quantized(double x, double scale) {
  if (127 * scale < 1e-30) return {0, 0};
  // Of two that are nearly as near, either; the inverse and the product are rounded.
  return {x / scale, 0.5 + 2 * kUnit * 127};
}

double elu(double x) { return x > 0 ? x : std::expm1(x); }

double gelu(double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }

Bounded activate(Activation activation, const Bounded& x) {
  switch (activation) {
    case Activation::kElu: {
      const double y = elu(x.value);  // of a slope of at most 1
      return {y, x.bound + 3 * kUnit * std::abs(y)};
    }
    case Activation::kEluCoarse: {
      const double y = elu(x.value);
      return {y, x.bound + 4.4e-4 * std::abs(std::min(y, 0.0)) + 2 * kUnit};
    }
    case Activation::kGelu: {
      const double y = gelu(x.value);  // of a slope of at most 1.13
      constexpr double kSubnormal = 0x1p-149;
      return {
          y, 1.13 * x.bound + 5 * kUnit * std::abs(y) + kUnit / 4 * std::abs(x.value) + kSubnormal};
    }
    case Activation::kNone:
      break;
  }
  return x;
}

Bounded add_residual(const kernels::Epilogue& e, int t, int column, const Bounded& sum) {
  if (e.residual == nullptr) return sum;
  const double scale = e.scale ? e.scale[column] : 1.0;
  const double y = e.residual[t * e.residual_stride + column] + scale * sum.value;
  return {y, std::abs(scale) * sum.bound * (1 + 2 * kUnit) + kUnit * std::abs(y)};
}

std::vector<Bounded> layer_norm(std::span<const float> x, const float* weight, const float* bias,
                                double epsilon) {
  const auto channels = static_cast<double>(x.size());
  double sum = 0, magnitude = 0, squares = 0;
  for (const float v : x) {
    sum += v;
    magnitude += std::abs(v);
  }
  const double mean = sum / channels;
  for (const float v : x) squares += (v - mean) * (v - mean);
  const double deviation = std::sqrt(squares / channels + epsilon);

  // Sums have 16 lanes, each of channels / 16 values, then four more additions and a division.
  const double roundings = channels / kLanes + 6;
  std::vector<Bounded> y;
  for (std::size_t c = 0; c < x.size(); ++c) {
    const double normal = (x[c] - mean) / deviation;
    const double mean_error = roundings * kUnit * magnitude / channels / deviation;
    const double error =
        mean_error * (1 + std::abs(normal)) + (roundings + 4) * kUnit * std::abs(normal);
    const double value = normal * weight[c] + bias[c];
    y.push_back({value, std::abs(weight[c]) * error + kUnit * std::abs(value)});
  }
  return y;
}

std::vector<Bounded> attention(const kernels::AttentionTask& task,
                               const kernels::AttentionQuery& query) {
  const std::int64_t dim = task.head_dim, padded = (dim + kLanes - 1) / kLanes * kLanes;
  std::vector<double> scores;
  double score_error = 0;
  for (std::int64_t step = query.first_step; step <= query.last_step; ++step) {
    const float* key = task.keys + step / kLanes % task.blocks * dim * kLanes + step % kLanes;
    const GemmInput row = {query.query, 0, 0, 1, task.head_dim};
    const Bounded score = product(row, 0, key, kLanes, 0.0);
    scores.push_back(score.value);
    score_error = std::max(score_error, score.bound);
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (const double score : scores) total += std::exp(score - largest);

  const auto steps = static_cast<double>(scores.size());
  std::vector<Bounded> output(static_cast<std::size_t>(dim));
  for (std::size_t d = 0; d < output.size(); ++d) {
    double sum = 0, magnitude = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const std::int64_t slot =
          (query.first_step + static_cast<std::int64_t>(i)) % (task.blocks * kLanes);
      const double weight = std::exp(scores[i] - largest) / total;
      const double value = task.values[slot * padded + static_cast<std::int64_t>(d)];
      sum += weight * value;
      magnitude += weight * std::abs(value);
    }
    // A score's error and the exponential's move weight and total; then come the roundings of the
    // difference, of both sums and of the division.
    const double range = largest - *std::min_element(scores.begin(), scores.end());
    const double error = 4 * score_error + (2 * steps + 10 + 2 * range) * kUnit;
    output[d] = {sum, error * magnitude};
  }
  return output;
}

}  // namespace mimi::test
