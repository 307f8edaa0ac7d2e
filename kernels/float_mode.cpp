#include "kernels/float_mode.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace mimi::kernels {
namespace {

#if defined(__x86_64__)
// All exceptions masked, round to nearest.
constexpr std::uint64_t kKeep = 0x1F80;
constexpr std::uint64_t kFlush = kKeep | 0x8040;  // flush to zero, denormals are zero
std::uint64_t get_mode() { return _mm_getcsr(); }
void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr std::uint64_t kKeep = 0;
constexpr std::uint64_t kFlush = 1 << 24;
std::uint64_t get_mode() {
  std::uint64_t mode = 0;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void set_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
#error "say here how this machine's floating-point mode is read and set"
#endif

}  // namespace

ScopedFloatMode::ScopedFloatMode(FloatMode mode) : saved_(get_mode()) {
  set_mode(mode == FloatMode::kKeepSubnormals ? kKeep : kFlush);
}
ScopedFloatMode::~ScopedFloatMode() { set_mode(saved_); }

}  // namespace mimi::kernels
