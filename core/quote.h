// Parts of error messages made of what a file holds: one line whatever the bytes are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mimi {

// 'text', control characters and bytes beyond ASCII as \xNN, cut after 100 bytes.
std::string quote(std::string_view text);

// [64,1,7]
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace mimi
