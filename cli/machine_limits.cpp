#include "cli/machine_limits.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/parallel.h"

namespace mimi::cli {

// An integer addition takes one cycle on every machine this runs on, and each waits for the one
// before. The best of several runs, so that an interruption does not count.
double measure_clock_hz() {
  constexpr int kRounds = 100000;
  constexpr int kAdditions = 32;
  double best = 0;
  for (int run = 0; run < 20; ++run) {
    std::uint64_t sum = 1;
    const double seconds = seconds_of([&] {
      for (int round = 0; round < kRounds; ++round) {
#pragma GCC unroll 32
        for (int i = 0; i < kAdditions; ++i) {
          sum += sum;
          asm volatile("" : "+r"(sum));
        }
      }
    });
    best = std::max(best, double{kRounds} * kAdditions / seconds);
  }
  return best;
}

double measure_multiply_add_peak(const kernels::KernelTable& table, kernels::Dtype dtype,
                                 int threads) {
  const auto run_peak = dtype == kernels::Dtype::kF32    ? table.multiply_add_peak
                        : dtype == kernels::Dtype::kBf16 ? table.bf16.multiply_add_peak
                                                         : table.int8.multiply_add_peak;
  constexpr std::int64_t kIterations = 100000;
  // Longer than a virtual machine's core may be away.
  constexpr int kRuns = 20;
  constexpr double kSeconds = 0.2;
  double best = 0, spent = 0;
  for (int run = 0; run < kRuns || spent < kSeconds; ++run) {
    std::vector<double> flop(static_cast<std::size_t>(threads));
    const double seconds = seconds_of([&] {
      kernels::parallel_for(threads, threads, [&](int task, int) {
        float sink[kernels::kLanes];
        flop[static_cast<std::size_t>(task)] = run_peak(kIterations, sink);
      });
    });
    double sum = 0;
    for (const double f : flop) sum += f;
    best = std::max(best, sum / seconds);
    spent += seconds;
  }
  return best;
}

// One 8-byte load of each cache line: the lines come, whatever is done with them.
double measure_read_bandwidth(std::size_t bytes) {
  constexpr std::size_t kLineFloats = 16;
  kernels::AlignedFloats memory(bytes / sizeof(float));
  std::fill_n(memory.data(), memory.size(), 1.0f);
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    std::uint64_t sum = 0;
    const double seconds = seconds_of([&] {
      for (std::size_t i = 0; i < memory.size(); i += kLineFloats) {
        std::uint64_t word = 0;
        std::memcpy(&word, memory.data() + i, sizeof word);
        sum += word;
      }
      asm volatile("" : "+r"(sum));
    });
    best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  return best;
}

}  // namespace mimi::cli
