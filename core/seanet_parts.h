// What SEANet's encoder and decoder have in common beside the residual units.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/codec.h"
#include "core/row_buffer.h"
#include "kernels/kernels.h"
#include "kernels/parallel.h"

namespace mimi {

// As checkpoints name layer `index` of "encoder" or "decoder".
std::string layer_name(const char* side, int index);
// As a Tap is told of its output.
std::string tap_name(const char* side, int index, bool after_elu);

// How exact the ELU of what layers of `dtype` take in must be.
kernels::Activation elu_for(kernels::Dtype dtype);

// Rows, of the side that has fewer, that a stage works on at once: few enough that its rows stay in
// the second-level caches, yet enough that reading its weights pays.
int stage_block_rows(int most_rows, int threads, int stride, int channels);

// Calls run(first, count) for nearly equal blocks of at most `most` rows.
template <typename Run>
void for_each_block(int rows, int most, Run run) {
  const int blocks = (rows + most - 1) / most;
  for (int i = 0, first = 0; i < blocks; ++i) {
    const int count = (rows - first) / (blocks - i);
    run(first, count);
    first += count;
  }
}

// Tells `tap`, if there is one, of rows [first, first + count).
void report(const Tap& tap, const std::string& name, const RowBuffer& rows, int first, int count);

// Where several streams are advanced together: a set of buffers for each worker, at which it works
// on one stream after the other. They stay in its caches, where the streams' own would not.
template <typename Stream>
struct Desks {
  int block_frames = 0;
  std::vector<std::unique_ptr<Stream>> of_worker;

  // Makes `count` of them by make() unless there are such that hold `frames`.
  template <typename Make>
  void prepare(int count, int frames, Make make) {
    if (block_frames >= frames && of_worker.size() >= static_cast<std::size_t>(count)) return;
    of_worker.clear();
    for (int i = 0; i < count; ++i) of_worker.push_back(make());
    block_frames = frames;
  }
};

// Calls run(stream, worker) for each on one thread.
template <typename Run>
void for_each_stream(int threads, std::size_t streams, Run run) {
  kernels::parallel_for(threads, static_cast<int>(streams), [&](int i, int worker) {
    run(static_cast<std::size_t>(i), static_cast<std::size_t>(worker));
  });
}

}  // namespace mimi
