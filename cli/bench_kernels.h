// Measures each kernel alone, over the shapes of the published Mimi, on one thread.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "kernels/kernels.h"

namespace mimi::cli {

struct KernelFigures {
  std::string isa;
  Dtype dtype;
  std::string kernel, shape;
  double seconds;      // of a call, the best of several runs
  double flop, bytes;  // as in KernelCall
};

struct KernelBench {
  struct Peak {
    std::string isa;
    Dtype dtype;
    double flop_per_second;
  };
  // A frame of a stream if each layer, one after the other, met only the nearer of two limits:
  // multiply-adds, and memory that no cache helps.
  struct FrameLimit {
    std::string isa;
    Dtype dtype;
    double encode_seconds, decode_seconds;
  };
  std::vector<Peak> peaks;
  double read_bytes_per_second;
  std::vector<KernelFigures> kernels;
  std::vector<FrameLimit> frame_limits;
};

KernelBench bench_kernels(std::span<const kernels::KernelTable* const> tables,
                          std::span<const Dtype> dtypes, int runs);

void print_kernel_bench(const KernelBench& bench);
nlohmann::ordered_json kernel_bench_json(const KernelBench& bench);

}  // namespace mimi::cli
