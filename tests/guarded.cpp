#include "tests/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

namespace mimi::test {
namespace {

// A NaN that no arithmetic makes.
constexpr std::uint32_t kPoison = 0x7FEBCDEF;

}  // namespace

GuardedFloats::GuardedFloats(std::size_t count) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  // At least one page: qemu refuses to protect none.
  const std::size_t bytes =
      (std::max(count, std::size_t{1}) * sizeof(float) + page - 1) / page * page;
  mapped_bytes_ = bytes + 2 * page;
  mapping_ = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* const inside = static_cast<char*>(mapping_) + page;
  if (mapping_ == MAP_FAILED || mprotect(inside, bytes, PROT_READ | PROT_WRITE) != 0) {
    throw std::system_error(errno, std::generic_category(), "mmap");
  }
  auto* const begin = reinterpret_cast<float*>(inside);
  auto* const end = reinterpret_cast<float*>(inside + bytes);
  std::fill(begin, end, std::numeric_limits<float>::quiet_NaN());
  data_ = end - count;
}

GuardedFloats::GuardedFloats(std::span<const float> values) : GuardedFloats(values.size()) {
  std::copy(values.begin(), values.end(), data_);
}

GuardedFloats::GuardedFloats(GuardedFloats&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      data_(other.data_) {}

GuardedFloats::~GuardedFloats() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

GuardedRows::GuardedRows(int rows, int columns, std::ptrdiff_t stride)
    : rows_(rows),
      columns_(columns),
      stride_(stride),
      values_(2 * kGuard + static_cast<std::size_t>(rows * stride)) {
  poison();
}

void GuardedRows::poison() {
  std::fill(values_.begin(), values_.end(), std::bit_cast<float>(kPoison));
}

float GuardedRows::at(int row, int column) const {
  return values_[kGuard + static_cast<std::size_t>(row * stride_ + column)];
}

std::vector<float> GuardedRows::written() const {
  std::vector<float> values;
  for (int row = 0; row < rows_; ++row) {
    for (int column = 0; column < columns_; ++column) values.push_back(at(row, column));
  }
  return values;
}

std::string GuardedRows::fault() const {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(i) - std::ptrdiff_t{kGuard};
    const bool inside = place >= 0 && place < rows_ * stride_ && place % stride_ < columns_;
    const bool poisoned = std::bit_cast<std::uint32_t>(values_[i]) == kPoison;
    if (inside != poisoned) continue;
    const std::string what = inside ? "never written" : "written";
    return what + ": row " + std::to_string(place / stride_) + ", column " +
           std::to_string(place % stride_);
  }
  return {};
}

}  // namespace mimi::test
