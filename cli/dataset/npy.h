// NumPy's .npy files of codes: uint16 [levels, frames].
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mimi::cli {

struct NpyShape {
  int levels = 0;
  std::uint64_t frames = 0;
};

// Of an array whose elements NumPy calls `type`, such as <u2, in C's order.
std::vector<std::uint8_t> npy_header(std::string_view type, std::span<const std::uint64_t> shape);
std::vector<std::uint8_t> npy_header(const NpyShape& shape);
std::uint64_t npy_bytes(const NpyShape& shape);
// How long the header is, given its first 10 bytes. Throws mimi::Error.
std::size_t npy_header_bytes(std::span<const std::uint8_t> begin);
// What a header as npy_header() makes it says. Throws mimi::Error.
NpyShape parse_npy_header(std::span<const std::uint8_t> header);

}  // namespace mimi::cli
