#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/safetensors.h"
#include "kernels/kernels.h"

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

 private:
  std::unique_ptr<float[]> owned_;
  std::span<const float> view_;
};

// A weight for products that take it as the file holds it, row by row.
struct Weights {
  const void* data = nullptr;  // floats, bf16's upper halves of them, or bytes
  kernels::Dtype dtype = kernels::Dtype::kF32;
  std::vector<float> scales;  // of bytes: [columns x phases], as in TensorSpec
  Floats floats;              // what `data` is in, unless it is the mapped file

  const float* first_scale() const { return scales.empty() ? nullptr : scales.data(); }
};

// F32 that is aligned, as it lies in the file; nothing for other data.
std::span<const float> view_float32(std::span<const std::byte> data, TensorType dtype);
// Exactly the values that a file of `dtype` (not kOther) holds, of int8 the integers; `values` has
// as many as `data`.
void widen(std::span<const std::byte> data, TensorType dtype, std::span<float> values);
std::size_t value_bytes(TensorType dtype);  // not of kOther

bool all_finite(std::span<const float> values);

}  // namespace mimi
