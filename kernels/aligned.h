#pragma once

#include <cstddef>
#include <memory>

namespace mimi::kernels {

// Owns `size` floats on a cache-line boundary; a large block lies in huge pages where the system
// has them, since a stream that reads all weights for each frame otherwise misses the TLB for each
// page of them.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  // All zero.
  explicit AlignedFloats(std::size_t size);

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    std::size_t mapped_bytes;  // 0: from the heap
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
