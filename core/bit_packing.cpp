#include "core/bit_packing.h"

#include <cassert>

namespace mimi {

std::size_t packed_bytes(std::size_t count, int bits) {
  return (count * static_cast<std::size_t>(bits) + 7) / 8;
}

void pack_codes(std::span<const std::uint16_t> codes, int bits, std::vector<std::byte>& out) {
  std::uint32_t pending = 0;  // fewer than 8 bits between codes
  int pending_bits = 0;
  for (const std::uint32_t code : codes) {
    assert(code >> bits == 0);
    pending |= code << pending_bits;
    pending_bits += bits;
    for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8) {
      out.push_back(static_cast<std::byte>(pending));
    }
  }
  if (pending_bits > 0) out.push_back(static_cast<std::byte>(pending));
}

bool unpack_codes(std::span<const std::byte> packed, int bits, std::span<std::uint16_t> codes) {
  assert(packed.size() == packed_bytes(codes.size(), bits));
  const std::uint32_t mask = (1U << bits) - 1;
  std::uint32_t pending = 0;  // fewer than 8 bits between codes
  int pending_bits = 0;
  auto next = packed.begin();
  for (std::uint16_t& code : codes) {
    for (; pending_bits < bits; pending_bits += 8) {
      pending |= std::to_integer<std::uint32_t>(*next++) << pending_bits;
    }
    code = static_cast<std::uint16_t>(pending & mask);
    pending >>= bits;
    pending_bits -= bits;
  }
  return pending == 0;
}

}  // namespace mimi
