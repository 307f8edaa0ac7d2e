// Codes of 1 to 16 bits without gaps: bit k of the sequence is bit k % 8, counted from the lowest,
// of byte k / 8, and a code's lowest bit comes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mimi {

// How many bytes `count` codes fill; the last one is filled up with zero bits.
std::size_t packed_bytes(std::size_t count, int bits);

// Appends the codes, each below 2^bits.
void pack_codes(std::span<const std::uint16_t> codes, int bits, std::vector<std::byte>& out);

// Fills `codes` from packed_bytes(codes.size(), bits) bytes. False when the bits after the last
// code are not zero.
[[nodiscard]] bool unpack_codes(std::span<const std::byte> packed, int bits,
                                std::span<std::uint16_t> codes);

}  // namespace mimi
