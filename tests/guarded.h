// Memory that catches kernels which read or write where they should not.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace mimi::test {

// Floats that end where a page begins that can neither be read nor written, with another such page
// somewhat before them and NaN in between.
class GuardedFloats {
 public:
  explicit GuardedFloats(std::span<const float> values);
  explicit GuardedFloats(std::size_t count);  // NaN
  ~GuardedFloats();
  GuardedFloats(GuardedFloats&& other) noexcept;
  GuardedFloats& operator=(GuardedFloats&&) = delete;

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  float* data_ = nullptr;
};

// An array of rows between guard bands, all poisoned, so that a kernel that writes too much or too
// little is caught.
class GuardedRows {
 public:
  // Each row has `columns` floats to be written; the next begins `stride` floats on.
  GuardedRows(int rows, int columns, std::ptrdiff_t stride);

  void poison();
  float* data() { return values_.data() + kGuard; }
  float at(int row, int column) const;
  std::ptrdiff_t stride() const { return stride_; }
  std::vector<float> written() const;  // [rows x columns]
  // Which float is poisoned that should not be, or the other way round; empty: none.
  std::string fault() const;

 private:
  static constexpr std::size_t kGuard = 64;

  int rows_, columns_;
  std::ptrdiff_t stride_;
  std::vector<float> values_;
};

}  // namespace mimi::test
