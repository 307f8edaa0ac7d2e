// What becomes of a tile's finished sums.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector_math.h"

namespace {

using mimi::kernels::Activation;
using mimi::kernels::Epilogue;
using mimi::kernels::kLanes;
using mimi::kernels::PanelTask;

// Applies the epilogue to [rows x vecs * 16] raw sums, which are still in the first-level cache.
template <typename Activate>
void finish_rows(const Epilogue& e, Activate activate, float* c, std::ptrdiff_t stride, int first,
                 int rows, int vecs) {
  for (int t = first; t < first + rows; ++t) {
    for (int column = 0; column < vecs * kLanes; column += kLanes) {
      float* out = c + t * stride + column;
      Vec y = load(out);
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

inline void finish(const PanelTask& task, int first, int rows) {
  const Epilogue& e = *task.epilogue;
  const auto run = [&](auto activate) {
    finish_rows(e, activate, task.output, task.output_stride, first, rows, task.vecs);
  };
  switch (e.activation) {
    case Activation::kNone:
      if (e.residual || e.activated) run([](Vec y) { return y; });
      break;
    case Activation::kElu:
      run([](Vec y) { return elu(y); });
      break;
    case Activation::kGelu:
      run([](Vec y) { return gelu(y); });
      break;
  }
}

}  // namespace
