// The header of a checkpoint: every tensor must lie within the file.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/error.h"
#include "core/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    for (const mimi::TensorEntry& entry : mimi::parse_safetensors(file, "fuzz")) {
      const bool within = entry.data.data() >= file.data() &&
                          entry.data.data() + entry.data.size() <= file.data() + file.size();
      if (!within) std::abort();
    }
  } catch (const mimi::Error&) {
    return 0;
  }
  return 0;
}
