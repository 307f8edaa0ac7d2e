// CRC-32C (Castagnoli): the checksum of `.mimi` files and of model fingerprints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mimi {

// Extends `crc`, the checksum of what came before (0 at the start), by `bytes`:
// crc32c(crc32c(0, a), b) is the checksum of a followed by b. That of "123456789" is 0xE3069283.
std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes);

// The same without the instruction that some machines have for it, to hold that to.
std::uint32_t crc32c_portable(std::uint32_t crc, std::span<const std::byte> bytes);

// The checksum of b alone, from those of a and of a followed by b.
std::uint32_t crc32c_of_end(std::uint32_t a, std::uint32_t a_and_b, std::uint64_t bytes_of_b);

}  // namespace mimi
