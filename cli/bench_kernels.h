// Measures each kernel alone, over the shapes of the published Mimi, on one thread.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace mimi::cli {

struct KernelFigures {
  std::string isa;
  std::string kernel;
  std::string shape;  // "decoder.2, a frame: 16 x 1024 x 512" or the like
  double seconds;     // of a call, the best of several runs
  double flop;        // 0 where multiply-adds are not what takes the time
  double bytes;       // read and written at least
};

struct KernelBench {
  struct Peak {
    std::string isa;
    double flop_per_second;
  };
  std::vector<Peak> peaks;
  double read_bytes_per_second;
  std::vector<KernelFigures> kernels;
};

KernelBench bench_kernels(std::span<const kernels::KernelTable* const> tables, int runs);

void print_kernel_bench(const KernelBench& bench);
nlohmann::ordered_json kernel_bench_json(const KernelBench& bench);

}  // namespace mimi::cli
