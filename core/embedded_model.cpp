#include "core/embedded_model.h"

extern "C" {
// Defined in embedded_model.S.
extern const std::byte mimi_embedded_weights_begin[];
extern const std::byte mimi_embedded_weights_end[];
extern const char mimi_embedded_config_begin[];
extern const char mimi_embedded_config_end[];
}

namespace mimi {

std::span<const std::byte> embedded_model_weights() {
  return {mimi_embedded_weights_begin, mimi_embedded_weights_end};
}

std::string_view embedded_model_config() {
  return {mimi_embedded_config_begin, mimi_embedded_config_end};
}

}  // namespace mimi
