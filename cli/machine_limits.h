// How long things take, and what this machine could do at most.
#pragma once

#include <chrono>

#include "kernels/kernels.h"

namespace mimi::cli {

template <typename Body>
double seconds_of(Body body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Cycles a second, timed by a chain of dependent additions.
double measure_clock_hz();

// Multiply-adds of a dtype in registers alone on so many threads, in operations a second; the best
// of several short runs.
double measure_multiply_add_peak(const kernels::KernelTable& table, kernels::Dtype dtype,
                                 int threads);

// Bytes a second that one thread reads from memory that no second-level cache holds: `bytes` of it
// again and again, the best of several runs.
double measure_read_bandwidth(std::size_t bytes);

}  // namespace mimi::cli
