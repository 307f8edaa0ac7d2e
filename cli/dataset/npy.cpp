#include "cli/dataset/npy.h"

#include <array>
#include <cstdio>
#include <string>

#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::size_t kBeginBytes = 10;
constexpr std::size_t kAlignment = 64;
// So that no number of bytes is beyond 64 bits.
constexpr int kMostLevels = 1 << 16;
constexpr std::uint64_t kMostFrames = std::uint64_t{1} << 40;

}  // namespace

std::vector<std::uint8_t> npy_header(std::string_view type, std::span<const std::uint64_t> shape) {
  std::string sizes;
  for (const std::uint64_t size : shape)
    sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  std::string text =
      "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (" + sizes + "), }";
  text.append(kAlignment - (kBeginBytes + text.size()) % kAlignment, ' ');
  text.back() = '\n';
  std::vector<std::uint8_t> header(kMagic.begin(), kMagic.end());
  header.push_back(static_cast<std::uint8_t>(text.size()));
  header.push_back(static_cast<std::uint8_t>(text.size() >> 8));
  header.insert(header.end(), text.begin(), text.end());
  return header;
}

std::vector<std::uint8_t> npy_header(const NpyShape& shape) {
  return npy_header("<u2", std::array{static_cast<std::uint64_t>(shape.levels), shape.frames});
}

std::uint64_t npy_bytes(const NpyShape& shape) {
  return npy_header(shape).size() + 2 * static_cast<std::uint64_t>(shape.levels) * shape.frames;
}

std::size_t npy_header_bytes(std::span<const std::uint8_t> begin) {
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  if (begin.size() < kBeginBytes || !text.starts_with(kMagic)) throw Error("is not a .npy file");
  return kBeginBytes + begin[8] + std::size_t{begin[9]} * 256;
}

NpyShape parse_npy_header(std::span<const std::uint8_t> header) {
  NpyShape shape;
  unsigned long long frames = 0;
  const std::string text(header.begin() + kBeginBytes, header.end());
  const int found =
      std::sscanf(text.c_str(), "{'descr': '<u2', 'fortran_order': False, 'shape': (%d, %llu)",
                  &shape.levels, &frames);
  shape.frames = frames;
  const bool is_possible =
      found == 2 && shape.levels > 0 && shape.levels <= kMostLevels && frames <= kMostFrames;
  const std::vector<std::uint8_t> same =
      is_possible ? npy_header(shape) : std::vector<std::uint8_t>{};
  if (!std::equal(same.begin(), same.end(), header.begin(), header.end())) {
    throw Error("is not a .npy file of codes as mimi writes it");
  }
  return shape;
}

}  // namespace mimi::cli
