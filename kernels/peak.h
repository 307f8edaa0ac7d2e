// What the machine can do at most, measured where its registers are.
#pragma once

#include "kernels/tile.h"

namespace {

template <typename Step>
double peak(std::int64_t iterations, float* sink) {
  constexpr int kChains = kPeakVecs;
  Vec chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const Vec factor = broadcast(0.999f), addend = broadcast(0.001f);
  for (std::int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chain[i] = Step::add(factor, addend, chain[i]);
  }
  for (int i = 1; i < kChains; ++i) chain[0] = chain[0] + chain[i];
  store(sink, chain[0]);
  return 2.0 * Step::kValues * kLanes * kChains * static_cast<double>(iterations);
}

}  // namespace
