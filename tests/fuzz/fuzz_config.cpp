// config.json: what is taken must pass its own check.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/config.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mimi::Config config;
  try {
    config = mimi::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const mimi::Error&) {
    return 0;
  }
  mimi::check_config(config, "fuzz");
  if (mimi::config_text(config).empty() || config.frame_samples() <= 0) std::abort();
  return 0;
}
