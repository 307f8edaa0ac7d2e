// What becomes of a tile's finished sums.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector_math.h"

namespace {

using mimi::kernels::Activation;
using mimi::kernels::Epilogue;
using mimi::kernels::kLanes;
using mimi::kernels::PanelTask;

template <typename Activate>
void finish_rows(const Epilogue& e, Activate activate, const float* sums,
                 std::ptrdiff_t sums_stride, int rows, int vecs, float* output,
                 std::ptrdiff_t output_stride) {
  for (int t = 0; t < rows; ++t) {
    for (int column = 0; column < vecs * kLanes; column += kLanes) {
      float* out = output + t * output_stride + column;
      Vec y = load(sums + t * sums_stride + column);
      if (e.residual) {
        const Vec x = load(e.residual + t * e.residual_stride + column);
        y = e.scale ? fma(load(e.scale + column), y, x) : x + y;
      }
      if (e.activated) {
        store(out, y);
        store(e.activated + t * e.activated_stride + column, activate(y));
      } else {
        store(out, activate(y));
      }
    }
  }
}

void finish(const Epilogue& e, const float* sums, std::ptrdiff_t sums_stride, int rows, int vecs,
            float* output, std::ptrdiff_t output_stride) {
  const auto run = [&](auto activate) {
    finish_rows(e, activate, sums, sums_stride, rows, vecs, output, output_stride);
  };
  switch (e.activation) {
    case Activation::kNone:
      if (e.residual || e.activated || sums != output) run([](Vec y) { return y; });
      break;
    case Activation::kElu:
      run([](Vec y) { return elu(y); });
      break;
    case Activation::kEluCoarse:
      run([](Vec y) { return elu_coarse(y); });
      break;
    case Activation::kGelu:
      run([](Vec y) { return gelu(y); });
      break;
  }
}

// Applies the task's epilogue to raw sums that are still in the first-level cache.
inline void finish_tile(const PanelTask& task, int first, int rows) {
  Epilogue e = *task.epilogue;
  if (e.residual) e.residual += first * e.residual_stride;
  if (e.activated) e.activated += first * e.activated_stride;
  float* c = task.output + first * task.output_stride;
  finish(e, c, task.output_stride, rows, task.vecs, c, task.output_stride);
}

}  // namespace
