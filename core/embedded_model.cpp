#include "core/embedded_model.h"

extern "C" {
// Defined in embedded_model.S.
extern const std::byte kMimiEmbeddedWeightsBegin[];
extern const std::byte kMimiEmbeddedWeightsEnd[];
extern const char kMimiEmbeddedConfigBegin[];
extern const char kMimiEmbeddedConfigEnd[];
}

namespace mimi {

std::span<const std::byte> embedded_model_weights() {
  return {kMimiEmbeddedWeightsBegin, kMimiEmbeddedWeightsEnd};
}

std::string_view embedded_model_config() {
  return {kMimiEmbeddedConfigBegin, kMimiEmbeddedConfigEnd};
}

}  // namespace mimi
