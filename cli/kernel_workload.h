// The calls of each kernel that the published Mimi makes, to be timed one by one.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace mimi::cli {

// What the weights of a frame of a stream lie in, in f32: the model goes by between two uses of
// them.
constexpr std::size_t kColdBytes = std::size_t{128} << 20;

// One call, which may be repeated; its n-th repetition uses the n-th copy of the weights.
struct KernelCall {
  std::string kernel;
  std::string shape;  // "decoder.2, a frame: 16 x 1024 x 512" or the like
  double flop;        // 0 where multiply-adds are not what takes the time
  double bytes;       // read and written at least
  std::function<void(std::size_t n)> call;
};

// Makes a call's data too. One at a time: all the weights together would need gigabytes.
using KernelCallMaker = std::function<KernelCall()>;

// Those of a dtype; what is in f32 whatever the dtype belongs to f32.
std::vector<KernelCallMaker> kernel_calls(const kernels::KernelTable& table, kernels::Dtype dtype);

// What a layer does in a frame of a stream at least: its multiply-adds, in the dtype that it has
// where the model is in `dtype`, and reading its weights, codebook, or keys and values once.
struct FrameWork {
  kernels::Dtype dtype;
  double flop, bytes;
  int encoding, decoding;  // so often in a frame
};
std::vector<FrameWork> frame_work(kernels::Dtype dtype);

}  // namespace mimi::cli
