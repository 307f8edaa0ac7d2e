#include "cli/dataset/safetensors_header.h"

namespace mimi::cli {

SafetensorsHeader::SafetensorsHeader(const DatasetSettings& settings, std::uint64_t shard)
    : levels_(static_cast<std::uint64_t>(settings.levels)) {
  json_["__metadata__"] = {{"model", settings.model},
                           {"fingerprint", settings.fingerprint},
                           {"window", window_name(settings.window)},
                           {"dtype", settings.dtype},
                           {"arithmetic", std::to_string(settings.arithmetic)},
                           {"shard", std::to_string(shard)}};
}

void SafetensorsHeader::add(const std::string& name, std::uint64_t frames) {
  const std::uint64_t end = data_bytes_ + 2 * levels_ * frames;
  json_.push_back(
      {name,
       {{"dtype", "U16"}, {"shape", {levels_, frames}}, {"data_offsets", {data_bytes_, end}}}});
  data_bytes_ = end;
}

std::string SafetensorsHeader::text() const {
  std::string text = json_text(json_);
  text.append(-text.size() % 8, ' ');
  return text;
}

}  // namespace mimi::cli
