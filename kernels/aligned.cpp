#include "kernels/aligned.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace mimi::kernels {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

AlignedFloats::AlignedFloats(std::size_t size) : size_(size) {
  const std::size_t bytes = size * sizeof(float);
  if (bytes >= kHugePage) {
    // Fresh pages are zero already.
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = {static_cast<float*>(memory), Free{bytes}};
    madvise(memory, bytes, MADV_HUGEPAGE);  // where it is not taken, small pages serve
    return;
  }
  const std::size_t lines = (bytes + kCacheLine - 1) / kCacheLine;
  void* memory = std::aligned_alloc(kCacheLine, lines * kCacheLine);
  if (memory == nullptr) throw std::bad_alloc();
  data_ = {static_cast<float*>(memory), Free{0}};
  std::fill_n(data_.get(), size, 0.0f);
}

void AlignedFloats::Free::operator()(float* p) const {
  if (mapped_bytes > 0) {
    munmap(p, mapped_bytes);
  } else {
    std::free(p);
  }
}

}  // namespace mimi::kernels
