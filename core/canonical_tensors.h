// Canonical tensors, made of those that a checkpoint's file holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint.h"
#include "core/config.h"
#include "core/layout.h"
#include "core/safetensors.h"

namespace mimi {

// What canonical names end in.
inline constexpr std::string_view kFlagSuffix = ".codebook.initialized";
inline constexpr std::string_view kUsageSuffix = ".cluster_usage";
inline constexpr std::string_view kSumSuffix = ".embed_sum";
inline constexpr std::string_view kEmbedSuffix = ".embed";

std::string join(std::string_view prefix, std::string_view suffix);

// The values of one canonical tensor: as they lie in the file or, where the file has another type
// or order, made by blocks.
struct TensorValues {
  std::size_t count = 0;
  std::span<const float> view;
  std::function<void(std::size_t first, std::span<float> values)> make;  // where there is no view
  // Of I8, the bytes and the scales: known to be finite.
  std::vector<std::span<const std::byte>> stored;
};

// What a file holds under canonical names.
struct CanonicalTensors {
  std::string source;  // the file, in messages
  Config config;
  std::vector<TensorEntry> entries;
  TensorIndex index;

  TensorValues values(const TensorSpec& tensor) const;
  // Throws at a value that is not finite; `first` is the number of the first value.
  void check_finite(std::string_view tensor, std::span<const float> values,
                    std::size_t first) const;
  // Whether it holds scales of another.
  bool is_scale(std::string_view tensor) const;
  std::map<std::string, std::vector<std::int64_t>> shapes() const;

 private:
  [[noreturn]] void fail(std::string_view tensor, const std::string& what) const;
  TensorValues values_of(std::string_view tensor, std::span<const std::int64_t> shape,
                         int phases = 0) const;
  TensorValues scaled_values(std::string_view tensor, const TensorEntry& entry, int phases) const;
  TensorValues codebook_values(std::string_view prefix) const;
};

}  // namespace mimi
