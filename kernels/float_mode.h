#pragma once

#include <cstdint>

namespace mimi::kernels {

enum class FloatMode {
  kKeepSubnormals,
  kFlushSubnormals,  // those read and those made are zeros
};

// While it lives, this thread rounds to nearest and treats subnormals so, whatever the program that
// calls us has set; its mode comes back afterwards.
class ScopedFloatMode {
 public:
  explicit ScopedFloatMode(FloatMode mode = FloatMode::kKeepSubnormals);
  ~ScopedFloatMode();
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace mimi::kernels
