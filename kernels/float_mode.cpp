#include "kernels/float_mode.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace mimi::kernels {
namespace {

#if defined(__x86_64__)
// All exceptions masked, round to nearest, neither flush-to-zero nor denormals-are-zero.
constexpr std::uint64_t kMode = 0x1F80;
std::uint64_t get_mode() { return _mm_getcsr(); }
void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr std::uint64_t kMode = 0;
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

ScopedFloatMode::ScopedFloatMode() : saved_(get_mode()) { set_mode(kMode); }
ScopedFloatMode::~ScopedFloatMode() { set_mode(saved_); }

}  // namespace mimi::kernels
