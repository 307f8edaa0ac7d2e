#include "core/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace mimi {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // 0x1EDC6F41, bit-reversed
constexpr std::size_t kSlices = 8;

using Table = std::array<std::uint32_t, 256>;

// tables[s][b]: what byte b contributes when s more bytes follow it.
constexpr std::array<Table, kSlices> make_tables() {
  std::array<Table, kSlices> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[slice - 1][byte];
      tables[slice][byte] = (crc >> 8) ^ tables[0][crc & 0xFF];
    }
  }
  return tables;
}

constexpr std::array<Table, kSlices> kTables = make_tables();

// Written with shifts, so that the order of bytes is the same on every machine; compilers turn it
// into one load where they can.
std::uint32_t load_u32(const std::byte* bytes) {
  return std::to_integer<std::uint32_t>(bytes[0]) | std::to_integer<std::uint32_t>(bytes[1]) << 8 |
         std::to_integer<std::uint32_t>(bytes[2]) << 16 |
         std::to_integer<std::uint32_t>(bytes[3]) << 24;
}

// Takes and gives the register's content, which is the checksum inverted.
std::uint32_t extend_by_table(std::uint32_t crc, std::span<const std::byte> bytes) {
  while (bytes.size() >= kSlices) {
    const std::uint32_t low = crc ^ load_u32(bytes.data());
    const std::uint32_t high = load_u32(bytes.data() + 4);
    crc = kTables[7][low & 0xFF] ^ kTables[6][(low >> 8) & 0xFF] ^ kTables[5][(low >> 16) & 0xFF] ^
          kTables[4][low >> 24] ^ kTables[3][high & 0xFF] ^ kTables[2][(high >> 8) & 0xFF] ^
          kTables[1][(high >> 16) & 0xFF] ^ kTables[0][high >> 24];
    bytes = bytes.subspan(kSlices);
  }
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  }
  return crc;
}

// Of polynomials over GF(2) modulo the checksum's, whose bit 31 is the constant term.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (int bit = 31; bit >= 0; --bit) {
    if ((a >> bit & 1) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

// What so many bytes behind them multiply a register's bits by: a power of x, by repeated squares.
constexpr std::uint32_t power_of_bytes(std::uint64_t bytes) {
  std::uint32_t power = 0x80000000U, square = 0x80000000U >> 8;  // 1, and x^8: one byte
  for (; bytes > 0; bytes >>= 1) {
    if ((bytes & 1) != 0) power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

#if defined(__x86_64__)
std::uint64_t load_word(const std::byte* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// The instruction computes this very checksum, 8 bytes at a time. It is a chain of latencies, so
// that three parts of a long block take no longer than one.
[[gnu::target("sse4.2")]] std::uint32_t extend_by_instruction(std::uint32_t crc,
                                                              std::span<const std::byte> bytes) {
  constexpr std::size_t kPart =
      5456;  // three and a little are 16 KB, a half of a first-level cache
  constexpr std::uint32_t kOnePart = power_of_bytes(kPart), kTwoParts = power_of_bytes(2 * kPart);
  std::uint64_t first = crc;
  for (; bytes.size() >= 3 * kPart; bytes = bytes.subspan(3 * kPart)) {
    std::uint64_t second = 0, third = 0;
    for (std::size_t i = 0; i < kPart; i += sizeof first) {
      first = _mm_crc32_u64(first, load_word(bytes.data() + i));
      second = _mm_crc32_u64(second, load_word(bytes.data() + kPart + i));
      third = _mm_crc32_u64(third, load_word(bytes.data() + 2 * kPart + i));
    }
    first = multiply(static_cast<std::uint32_t>(first), kTwoParts) ^
            multiply(static_cast<std::uint32_t>(second), kOnePart) ^ third;
  }
  for (; bytes.size() >= sizeof first; bytes = bytes.subspan(sizeof first)) {
    first = _mm_crc32_u64(first, load_word(bytes.data()));
  }
  return extend_by_table(static_cast<std::uint32_t>(first), bytes);
}

bool has_instruction() {
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
  }();
  return has;
}
#endif

}  // namespace

std::uint32_t crc32c_of_end(std::uint32_t a, std::uint32_t a_and_b, std::uint64_t bytes_of_b) {
  return a_and_b ^ multiply(a, power_of_bytes(bytes_of_b));
}

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
#if defined(__x86_64__)
  if (has_instruction()) return ~extend_by_instruction(~crc, bytes);
#endif
  return ~extend_by_table(~crc, bytes);
}

std::uint32_t crc32c_portable(std::uint32_t crc, std::span<const std::byte> bytes) {
  return ~extend_by_table(~crc, bytes);
}

}  // namespace mimi
