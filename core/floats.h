#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "core/safetensors.h"

namespace mimi {

// Values of one tensor, row by row: a view of the mapped file or, where the file holds another type
// or order, values of its own.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::span<const float> mapped) : view_(mapped) {}
  Floats(std::unique_ptr<float[]> values, std::size_t count)
      : owned_(std::move(values)), view_(owned_.get(), count) {}

  std::span<const float> view() const { return view_; }
  bool is_mapped() const { return owned_ == nullptr; }

 private:
  std::unique_ptr<float[]> owned_;
  std::span<const float> view_;
};

// `data` as float32: exactly the values that a file of `dtype` (not kOther) holds. F32 that is
// aligned is viewed, not copied.
Floats to_float32(std::span<const std::byte> data, TensorType dtype);

bool all_finite(std::span<const float> values);

}  // namespace mimi
