// Products of several streams' rows by the same weights, which are read once for all.
#pragma once

#include <span>

#include "kernels/gemm.h"

namespace mimi::kernels {

// One stream's rows and where their products go.
struct BatchItem {
  GemmInput a;
  GemmOutput output;
};

// What parallel_gemm(threads, weights, item.a, rows, item.output) does, for each item.
void batch_gemm(int threads, const PackedMatrix& weights, std::span<const BatchItem> items,
                int rows);

}  // namespace mimi::kernels
