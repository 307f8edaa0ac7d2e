#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/aligned.h"

namespace mimi::kernels {
namespace {

bool is_zero(const AlignedFloats& floats) {
  return std::all_of(floats.data(), floats.data() + floats.size(),
                     [](float x) { return x == 0.0f; });
}

bool on_a_line(const AlignedFloats& floats) {
  return reinterpret_cast<std::uintptr_t>(floats.data()) % 64 == 0;
}

// From less than a cache line to more than all that blocks share.
constexpr std::size_t kSizes[] = {1, 15, 16, 17, 100'000, 524'288, 524'289, 5'000'000};

}  // namespace

TEST_CASE("Blocks are zero and on a cache line") {
  for (const std::size_t size : kSizes) {
    CAPTURE(size);
    for (const AlignedFloats& floats : {AlignedFloats(size), AlignedFloats::beside_others(size)}) {
      CHECK(floats.size() == size);
      CHECK(on_a_line(floats));
      CHECK(is_zero(floats));
    }
  }
}

TEST_CASE("Blocks beside others are apart from them, and outlive them") {
  std::vector<AlignedFloats> blocks;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t size : kSizes) blocks.push_back(AlignedFloats::beside_others(size));
  }
  const auto value = [](std::size_t i) { return static_cast<float>(i + 1); };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::fill_n(blocks[i].data(), blocks[i].size(), value(i));
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = AlignedFloats();
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    CAPTURE(i);
    const float* data = blocks[i].data();
    CHECK(std::all_of(data, data + blocks[i].size(), [&](float x) { return x == value(i); }));
  }
  // What was given back is not handed out again with what it held.
  CHECK(is_zero(AlignedFloats::beside_others(1'000'000)));
}

}  // namespace mimi::kernels
