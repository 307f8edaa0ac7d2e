#include "kernels/aligned.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#define MIMI_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MIMI_ADDRESS_SANITIZER
#endif
#endif

namespace mimi::kernels {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// AddressSanitizer sees no end of a block that has neighbours.
#ifdef MIMI_ADDRESS_SANITIZER
constexpr bool kShares = false;
#else
constexpr bool kShares = true;
#endif

// Memory whose huge pages are filled by one block after the other. Fresh pages are zero, and what
// is not touched takes no memory.
class Region {
 public:
  explicit Region(std::size_t bytes) : size_(whole_pages(bytes)) {
    void* const mapped = mmap(nullptr, size_ + kHugePage, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    // Old kernels do not begin a mapping with a huge page.
    const std::size_t before =
        (kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage) % kHugePage;
    memory_ = static_cast<char*>(mapped) + before;
    if (before > 0) munmap(mapped, before);
    munmap(memory_ + size_, kHugePage - before);
    madvise(memory_, size_, MADV_HUGEPAGE);  // where it is not taken, small pages serve
  }
  ~Region() { munmap(memory_, size_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Null where the rest is too small.
  char* cut(std::size_t bytes) {
    if (size_ - used_ < bytes) return nullptr;
    return memory_ + std::exchange(used_, used_ + bytes);
  }

 private:
  static std::size_t whole_pages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
  }

  char* memory_;
  std::size_t size_;
  std::size_t used_ = 0;
};

std::size_t whole_lines(std::size_t floats) {
  return (floats * sizeof(float) + kCacheLine - 1) / kCacheLine * kCacheLine;
}

}  // namespace

AlignedFloats::AlignedFloats(std::size_t size) : size_(size) {
  const std::size_t bytes = whole_lines(size);
  if (bytes >= kHugePage) {
    const auto region = std::make_shared<Region>(bytes);
    data_ = {reinterpret_cast<float*>(region->cut(bytes)), Free{region}};
    return;
  }
  void* memory = std::aligned_alloc(kCacheLine, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  data_ = {static_cast<float*>(memory), Free{}};
  std::fill_n(data_.get(), size, 0.0f);
}

AlignedFloats AlignedFloats::beside_others(std::size_t size) {
  if constexpr (!kShares) return AlignedFloats(size);
  constexpr std::size_t kRegionBytes = 16 * kHugePage;
  static std::mutex mutex;
  static std::weak_ptr<Region> latest;
  const std::size_t bytes = whole_lines(size);
  const std::lock_guard lock(mutex);
  std::shared_ptr<Region> region = latest.lock();
  char* memory = region ? region->cut(bytes) : nullptr;
  if (memory == nullptr) {
    region = std::make_shared<Region>(std::max(bytes, kRegionBytes));
    memory = region->cut(bytes);
    latest = region;
  }
  AlignedFloats floats;
  floats.size_ = size;
  floats.data_ = {reinterpret_cast<float*>(memory), Free{region}};
  return floats;
}

void AlignedFloats::Free::operator()(float* p) const {
  if (!pages) std::free(p);
}

}  // namespace mimi::kernels
