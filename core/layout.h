// The two layouts of Mimi checkpoints, brought under Hugging Face's names.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "core/config.h"
#include "core/safetensors.h"

namespace mimi {

// Which part of a tensor in the file a canonical tensor is. Kyutai's fused projection has q's rows,
// then k's, then v's; those of q and k are in the order of interleaved rotary pairs.
enum class TensorPart { kWhole, kQuery, kKey, kValue };

struct TensorOrigin {
  std::size_t entry = 0;  // in the file's list
  TensorPart part = TensorPart::kWhole;
};

// Hugging Face's name -> where its values are.
using TensorIndex = std::map<std::string, TensorOrigin, std::less<>>;

bool is_kyutai_layout(std::span<const TensorEntry> entries);

// Throws Error, naming `source`, when two tensors of the file have the same canonical name.
TensorIndex index_tensors(std::span<const TensorEntry> entries, const std::string& source);

// The dimensions of a checkpoint in Kyutai's layout from its tensors' shapes; the rest is the
// published Mimi's. Throws Error, naming `source`, when a tensor that tells one is missing or they
// make no Mimi.
Config derive_kyutai_config(std::span<const TensorEntry> entries, const TensorIndex& index,
                            const std::string& source);

}  // namespace mimi
