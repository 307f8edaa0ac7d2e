#pragma once

#include <cstdint>

namespace mimi::kernels {

// While it lives, this thread rounds to nearest and keeps subnormals, whatever the program that
// calls us has set; its mode comes back afterwards.
class ScopedFloatMode {
 public:
  ScopedFloatMode();
  ~ScopedFloatMode();
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace mimi::kernels
