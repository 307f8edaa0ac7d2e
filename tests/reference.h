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

double elu(double x);
double gelu(double x);
Bounded activate(kernels::Activation activation, const Bounded& x);
// The y of kernels.h: before the activation.
Bounded add_residual(const kernels::Epilogue& epilogue, int t, int column, const Bounded& sum);

std::vector<Bounded> layer_norm(std::span<const float> x, const float* weight, const float* bias,
                                double epsilon);
// [head_dim]
std::vector<Bounded> attention(const kernels::AttentionTask& task);

}  // namespace mimi::test
