// The safetensors format: the length of a header in 8 little-endian bytes, the header in JSON, then
// the tensors' values without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mimi {

enum class TensorType { kF32, kF16, kBF16, kInt8, kOther };

struct TensorEntry {
  std::string name;
  TensorType dtype = TensorType::kOther;
  std::string dtype_name;           // as the file has it: "F32"
  std::vector<std::int64_t> shape;  // none negative, their product is within the file
  std::span<const std::byte> data;
};

// The tensors of a whole file's `bytes`, in the order of their names' bytes; each entry's data lies
// in `bytes`. Throws Error, naming `source`, where the file departs from the format: it may hold
// nothing that no tensor has, nor bytes that two have. Of the metadata, `metadata` takes what
// begins with "mimi.".
std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> bytes,
                                           const std::string& source,
                                           std::map<std::string, std::string>* metadata = nullptr);

}  // namespace mimi
