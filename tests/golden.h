// The golden answers in tests/data, and how close to them one is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mimi::test {

std::filesystem::path data_path(const std::string& name);  // in tests/data

// The first levels of a stored [levels, frames], as a stream has them: [frames x levels].
std::vector<std::uint16_t> read_golden_codes(const std::string& name, int levels);

double rms(std::span<const float> values);
// Of two that are equally long; NaN where one is.
double largest_difference(std::span<const float> a, std::span<const float> b);

}  // namespace mimi::test
