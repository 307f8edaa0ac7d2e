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

// F32 that is aligned, as it lies in the file; nothing for other data.
std::span<const float> view_float32(std::span<const std::byte> data, TensorType dtype);
// Exactly the values that a file of `dtype` (not kOther) holds, of int8 the integers; `values` has
// as many as `data`.
void widen(std::span<const std::byte> data, TensorType dtype, std::span<float> values);
std::size_t value_bytes(TensorType dtype);  // not of kOther

bool all_finite(std::span<const float> values);

}  // namespace mimi
