#include "cli/dataset/unique_ids.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <tuple>

#include "cli/dataset/file_io.h"
#include "cli/dataset/sha256.h"
#include "cli/temporary_file.h"
#include "core/error.h"

namespace mimi::cli {

// 128 bits of SHA-256: no two ids of any dataset have the same by chance.
struct UniqueIds::Entry {
  std::array<std::uint64_t, 2> hash;
  std::uint64_t number;

  bool operator<(const Entry& other) const {
    return std::tie(hash, number) < std::tie(other.hash, other.number);
  }
};

namespace {

constexpr std::size_t kMostPending = 1 << 12;

}  // namespace

UniqueIds::UniqueIds() : file_(open_temporary_file()) {}
UniqueIds::~UniqueIds() = default;

void UniqueIds::add(std::string_view id) {
  const Sha256Digest digest = sha256(id);
  Entry entry{};
  std::memcpy(entry.hash.data(), digest.data(), sizeof entry.hash);
  entry.number = count_++;
  pending_.push_back(entry);
  if (pending_.size() == kMostPending) flush();
}

void UniqueIds::flush() {
  write_all(
      file_.get(),
      {reinterpret_cast<const std::uint8_t*>(pending_.data()), pending_.size() * sizeof(Entry)},
      "a temporary file (TMPDIR)");
  pending_.clear();
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> UniqueIds::find_same() {
  flush();
  if (count_ == 0) return std::nullopt;
  const std::size_t bytes = count_ * sizeof(Entry);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED)
    throw Error(std::string("a temporary file (TMPDIR): ") + std::strerror(errno));
  const std::span entries(static_cast<Entry*>(memory), count_);
  std::sort(entries.begin(), entries.end());
  const auto same =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const Entry& a, const Entry& b) { return a.hash == b.hash; });
  std::optional<std::pair<std::uint64_t, std::uint64_t>> found;
  if (same != entries.end()) found.emplace(same->number, std::next(same)->number);
  munmap(memory, bytes);
  return found;
}

}  // namespace mimi::cli
