// What the kernels should give, by plain loops in double precision, and how far from it float32
// may be. Nothing here is shared with the kernels.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace mimi::test {

constexpr double kUnit = 0x1p-24;  // half a unit in the last place of 1

// A value, and how far float32 arithmetic may be from it.
struct Bounded {
  double value;
  double bound;
};
bool within(const Bounded& expected, float found);  // false for NaN

// bias + row t of A times a column whose values lie `step` floats apart.
Bounded product(const kernels::GemmInput& a, int t, const float* column, std::ptrdiff_t step,
                double bias);
// The same by the chain of float32 fused multiply-adds that kernels.h promises, to the bit.
float product_chain(const kernels::GemmInput& a, int t, const float* column, std::ptrdiff_t step,
                    float bias);

// The scale of row t's tap j: data[t * row_step + j * tap_step].
struct RowScales {
  const float* data;
  std::ptrdiff_t row_step, tap_step;
};
// The same of int8, whose values are whole numbers here: the sum of each tap times its row's scale,
// and all that times the column's, plus the bias.
Bounded scaled_product(const kernels::GemmInput& a, int t, const float* column, std::ptrdiff_t step,
                       const RowScales& scales, double column_scale, double bias);

// x to 8 significant bits, fewer where it is subnormal; ties to even.
double nearest_bf16(double x);
// Of a row in int8, and a value of it as a whole number. A row too small for its scale's inverse
// to be finite is zeros.
Bounded quantized_scale(std::span<const float> row);
Bounded quantized(double x, double scale);

double elu(double x);
double gelu(double x);
Bounded activate(kernels::Activation activation, const Bounded& x);
// The y of kernels.h: before the activation.
Bounded add_residual(const kernels::Epilogue& epilogue, int t, int column, const Bounded& sum);

std::vector<Bounded> layer_norm(std::span<const float> x, const float* weight, const float* bias,
                                double epsilon);
// Of one of its queries, [head_dim].
std::vector<Bounded> attention(const kernels::AttentionTask& task,
                               const kernels::AttentionQuery& query);

}  // namespace mimi::test
