// Little-endian numbers in bytes, whatever the machine's order and alignment.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mimi {

template <typename Unsigned>
void append_little_endian(Unsigned value, std::vector<std::byte>& out) {
  for (std::size_t byte = 0; byte < sizeof(Unsigned); ++byte) {
    out.push_back(static_cast<std::byte>(value >> (8 * byte)));
  }
}

// Takes numbers off the front of `bytes`. The caller makes sure that there are enough.
class LittleEndianParser {
 public:
  explicit LittleEndianParser(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return take<std::uint8_t>(); }
  std::uint16_t u16() { return take<std::uint16_t>(); }
  std::uint32_t u32() { return take<std::uint32_t>(); }
  std::uint64_t u64() { return take<std::uint64_t>(); }
  std::span<const std::byte> bytes(std::size_t count) {
    assert(count <= bytes_.size());
    const auto front = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return front;
  }
  std::size_t remaining() const { return bytes_.size(); }

 private:
  template <typename Unsigned>
  Unsigned take() {
    std::uint64_t value = 0;
    int shift = 0;
    for (const std::byte byte : bytes(sizeof(Unsigned))) {
      value |= std::to_integer<std::uint64_t>(byte) << shift;
      shift += 8;
    }
    return static_cast<Unsigned>(value);
  }

  std::span<const std::byte> bytes_;
};

}  // namespace mimi
