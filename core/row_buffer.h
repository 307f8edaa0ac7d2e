#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>

#include "kernels/aligned.h"
#include "kernels/kernels.h"

namespace mimi {

// Floats from one row to the next, whole Vecs, since products and their epilogues write no less.
// Rows a multiple of 1 KB long would fall into a few sets of the first-level cache, so those get a
// line more.
inline std::ptrdiff_t row_stride(int channels) {
  const int padded = (channels + kernels::kLanes - 1) / kernels::kLanes * kernels::kLanes;
  return padded % 256 == 0 ? padded + kernels::kLanes : padded;
}

// The input rows of a layer in time order: `history` rows of the past, which are that layer's
// streaming state, then room for new ones. Row 0 is the first new row; padding stays zero.
class RowBuffer {
 public:
  RowBuffer() = default;
  RowBuffer(int channels, int history, int capacity)
      : RowBuffer(channels, history, capacity, row_stride(channels)) {}
  // Samples, which lie densely: one channel, written by copies alone.
  static RowBuffer of_samples(int history, int capacity) { return {1, history, capacity, 1}; }

  int channels() const { return channels_; }
  int history() const { return history_; }
  int capacity() const { return capacity_; }
  std::ptrdiff_t stride() const { return stride_; }

  float* row(int t) {
    assert(t >= -history_ && t <= capacity_);
    return data_.data() + (t + history_) * stride_;
  }
  const float* row(int t) const { return const_cast<RowBuffer*>(this)->row(t); }

  // Copies rows [first, last) of a buffer of the same channels and history.
  void copy_rows(const RowBuffer& from, int first, int last) {
    assert(from.channels_ == channels_ && from.history_ == history_ && last <= capacity_);
    std::memcpy(row(first), from.row(first),
                static_cast<std::size_t>((last - first) * stride_) * sizeof(float));
  }
  void copy_history(const RowBuffer& from) { copy_rows(from, -history_, 0); }

  // `rows` new rows have been used: the last ones become the history.
  void advance(int rows) {
    assert(rows <= capacity_);
    std::memmove(data_.data(), data_.data() + rows * stride_,
                 static_cast<std::size_t>(history_ * stride_) * sizeof(float));
  }

 private:
  RowBuffer(int channels, int history, int capacity, std::ptrdiff_t stride)
      : channels_(channels),
        history_(history),
        capacity_(capacity),
        stride_(stride),
        data_(static_cast<std::size_t>(stride) * static_cast<std::size_t>(history + capacity)) {}

  int channels_ = 0, history_ = 0, capacity_ = 0;
  std::ptrdiff_t stride_ = 0;
  kernels::AlignedFloats data_;
};

// Rows from `first` on as the input of a product that takes them one at a time.
inline kernels::GemmInput gemm_rows(const RowBuffer& rows, int first = 0) {
  return {.data = rows.row(first),
          .row_step = rows.stride(),
          .tap_step = 0,
          .taps = 1,
          .depth = rows.channels()};
}

}  // namespace mimi
