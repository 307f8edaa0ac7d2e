#include "tests/npy.h"

#include <bit>
#include <cstdint>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace mimi::test {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are read as they lie");

template <typename T>
constexpr std::string_view kDescription = "";
template <>
constexpr std::string_view kDescription<float> = "'descr': '<f4'";
template <>
constexpr std::string_view kDescription<std::uint16_t> = "'descr': '<u2'";

// "..., 'shape': (32, 31), }" -> {32, 31}
std::vector<std::size_t> parse_shape(const std::string& header) {
  const std::size_t open = header.find("'shape': (");
  std::istringstream sizes(header.substr(header.find('(', open) + 1));
  std::vector<std::size_t> shape;
  for (std::size_t size = 0; sizes >> size; sizes.ignore(1, ',')) shape.push_back(size);
  return shape;
}

}  // namespace

template <typename T>
NpyArray<T> read_npy(const std::filesystem::path& path) {
  constexpr std::string_view kSignature = "\x93NUMPY\x01";
  std::ifstream file(path, std::ios::binary);
  std::string start(10, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (!file || !start.starts_with(kSignature)) {
    throw std::runtime_error(path.string() + ": not there, or not a .npy file of version 1");
  }
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(start[i]); };
  std::string header(byte(8) + 256U * byte(9), '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (header.find(kDescription<T>) == std::string::npos ||
      header.find("'fortran_order': False") == std::string::npos) {
    throw std::runtime_error(path.string() + ": found " + header + "expected " +
                             std::string(kDescription<T>) + " in C order");
  }
  NpyArray<T> array = {.shape = parse_shape(header), .values = {}};
  array.values.resize(
      std::accumulate(array.shape.begin(), array.shape.end(), std::size_t{1}, std::multiplies<>()));
  file.read(reinterpret_cast<char*>(array.values.data()),
            static_cast<std::streamsize>(array.values.size() * sizeof(T)));
  if (!file) throw std::runtime_error(path.string() + ": ends too early");
  return array;
}

template NpyArray<float> read_npy(const std::filesystem::path& path);
template NpyArray<std::uint16_t> read_npy(const std::filesystem::path& path);

}  // namespace mimi::test
