// The small model that is part of the library, as the bytes of its two files.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace mimi {

// model.safetensors; 64-byte aligned, as long as the program lives.
std::span<const std::byte> embedded_model_weights();
// config.json.
std::string_view embedded_model_config();

}  // namespace mimi
