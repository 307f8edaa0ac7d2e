#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace mimi::kernels {

// Owns `size` floats on a cache-line boundary; a large block lies in huge pages where the system
// has them, since a stream that reads all weights for each frame otherwise misses the TLB for each
// page of them.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  // All zero.
  explicit AlignedFloats(std::size_t size);
  // The same in huge pages that blocks of any size share, for those that are made one after the
  // other and live as long: the pages are given back when the last of them is gone.
  static AlignedFloats beside_others(std::size_t size);
  AlignedFloats(AlignedFloats&& other) noexcept { *this = std::move(other); }
  AlignedFloats& operator=(AlignedFloats&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    std::shared_ptr<void> pages;  // none: from the heap
    void operator()(float* p) const;
  };
  std::size_t size_ = 0;
  std::unique_ptr<float[], Free> data_;
};

// Memory that is kept from use to use, and only ever grows.
class Room {
 public:
  // `size` floats, their values anything.
  float* of(std::ptrdiff_t size) {
    if (static_cast<std::ptrdiff_t>(floats_.size()) < size) {
      floats_ = AlignedFloats(static_cast<std::size_t>(size));
    }
    return floats_.data();
  }

 private:
  AlignedFloats floats_;
};

}  // namespace mimi::kernels
