#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/crc32c.h"

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The definition, one bit at a time.
std::uint32_t crc32c_bitwise(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

TEST_CASE("crc32c gives the published values") {
  CHECK(mimi::crc32c(0, {}) == 0);
  CHECK(mimi::crc32c(0, bytes_of("a")) == 0xC1D04330);
  CHECK(mimi::crc32c(0, bytes_of("123456789")) == 0xE3069283);
  // RFC 3720, appendix B.4.
  CHECK(mimi::crc32c(0, std::vector<std::byte>(32, std::byte{0x00})) == 0x8A9136AA);
  CHECK(mimi::crc32c(0, std::vector<std::byte>(32, std::byte{0xFF})) == 0x62A8AB43);
  std::vector<std::byte> ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<std::byte>(i));
  CHECK(mimi::crc32c(0, ascending) == 0x46DD794E);
}

TEST_CASE("crc32c is its definition at every length, alignment and cut") {
  std::vector<std::byte> data;
  for (std::uint32_t i = 0; i < 80; ++i) data.push_back(static_cast<std::byte>(i * 167 % 251));
  const std::span<const std::byte> all(data);
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; begin + size <= data.size(); ++size) {
      const auto part = all.subspan(begin, size);
      REQUIRE(mimi::crc32c(0, part) == crc32c_bitwise(part));
      REQUIRE(mimi::crc32c_portable(0, part) == crc32c_bitwise(part));
    }
  }
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    const std::uint32_t crc = mimi::crc32c(mimi::crc32c(0, all.first(cut)), all.subspan(cut));
    REQUIRE(crc == crc32c_bitwise(all));
    REQUIRE(mimi::crc32c_portable(mimi::crc32c_portable(0, all.first(cut)), all.subspan(cut)) ==
            crc);
  }
}

TEST_CASE("crc32c is its definition for long blocks, which are summed in parts") {
  std::vector<std::byte> data;
  for (std::uint32_t i = 0; i < 40'000; ++i) data.push_back(static_cast<std::byte>(i * 167 % 251));
  const std::span<const std::byte> all(data);
  for (const std::size_t size : {16'367U, 16'368U, 16'369U, 32'735U, 32'736U, 39'990U}) {
    REQUIRE(mimi::crc32c(0, all.subspan(3, size)) == crc32c_bitwise(all.subspan(3, size)));
  }
  CHECK(mimi::crc32c(mimi::crc32c(0, all.first(20'001)), all.subspan(20'001)) ==
        crc32c_bitwise(all));
}

TEST_CASE("the checksum of an end follows from those of the whole and the front") {
  std::vector<std::byte> data;
  for (std::uint32_t i = 0; i < 3000; ++i) data.push_back(static_cast<std::byte>(i * 167 % 251));
  const std::span<const std::byte> all(data);
  for (std::size_t size = 0; size <= data.size(); size += 1 + size / 8) {
    for (std::size_t end = 0; end <= size; end += 1 + end / 8) {
      const std::uint32_t front = mimi::crc32c(0, all.first(size - end));
      const std::uint32_t whole = mimi::crc32c(0, all.first(size));
      REQUIRE(mimi::crc32c_of_end(front, whole, end) ==
              mimi::crc32c(0, all.subspan(size - end, end)));
    }
  }
}

}  // namespace
