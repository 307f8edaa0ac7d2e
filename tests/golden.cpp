#include "tests/golden.h"

#include <cmath>

#include "tests/files.h"
#include "tests/npy.h"

namespace mimi::test {

std::filesystem::path data_path(const std::string& name) {
  return source_dir() / "tests/data" / name;
}

std::vector<std::uint16_t> read_golden_codes(const std::string& name, int levels) {
  const auto codes = read_npy<std::uint16_t>(data_path(name));
  const std::size_t frames = codes.shape.at(1);
  std::vector<std::uint16_t> by_frame;
  for (std::size_t t = 0; t < frames; ++t) {
    for (std::size_t level = 0; level < static_cast<std::size_t>(levels); ++level) {
      by_frame.push_back(codes.values.at(level * frames + t));
    }
  }
  return by_frame;
}

double rms(std::span<const float> values) {
  double sum = 0;
  for (const float v : values) sum += double{v} * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - b[i]);
    if (!(difference <= largest)) largest = difference;  // also when it is NaN
    if (std::isnan(largest)) break;
  }
  return largest;
}

}  // namespace mimi::test
