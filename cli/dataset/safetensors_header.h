#pragma once

#include <cstdint>
#include <string>

#include "cli/dataset/settings.h"

namespace mimi::cli {

// The header of a shard's safetensors file: uint16 [levels x frames] tensors without gaps.
class SafetensorsHeader {
 public:
  SafetensorsHeader(const DatasetSettings& settings, std::uint64_t shard);

  // The next tensor.
  void add(const std::string& name, std::uint64_t frames);
  // As it stands in the file, padded so that the tensors are aligned.
  std::string text() const;
  std::uint64_t data_bytes() const { return data_bytes_; }

 private:
  std::uint64_t levels_;
  std::string entries_;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace mimi::cli
