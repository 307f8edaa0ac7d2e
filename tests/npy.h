// Reads NumPy's .npy files, as far as the golden answers need them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace mimi::test {

// Values in C order.
template <typename T>
struct NpyArray {
  std::vector<std::size_t> shape;
  std::vector<T> values;
};

// T is float or std::uint16_t. Throws std::runtime_error when the file is not there or holds
// something else.
template <typename T>
NpyArray<T> read_npy(const std::filesystem::path& path);

}  // namespace mimi::test
