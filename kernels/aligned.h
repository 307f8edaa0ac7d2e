#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace mimi::kernels {

constexpr std::size_t kCacheLine = 64;

// Owns `size` floats on a cache-line boundary.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  // All zero.
  explicit AlignedFloats(std::size_t size)
      : size_(size),
        data_(static_cast<float*>(
            ::operator new (size * sizeof(float), std::align_val_t{kCacheLine}))) {
    std::fill_n(data_.get(), size, 0.0f);
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(float* p) const { ::operator delete (p, std::align_val_t{kCacheLine}); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace mimi::kernels
