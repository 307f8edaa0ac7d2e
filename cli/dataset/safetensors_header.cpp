#include "cli/dataset/safetensors_header.h"

namespace mimi::cli {

SafetensorsHeader::SafetensorsHeader(const DatasetSettings& settings, std::uint64_t shard)
    : levels_(static_cast<std::uint64_t>(settings.levels)) {
  entries_ = "\"__metadata__\":" + json_text(codes_metadata(settings, shard));
}

// As text: a JSON object that keeps its order would compare each name with all before it.
void SafetensorsHeader::add(const std::string& name, std::uint64_t frames) {
  const std::uint64_t end = data_bytes_ + 2 * levels_ * frames;
  const Json tensor = {
      {"dtype", "U16"}, {"shape", {levels_, frames}}, {"data_offsets", {data_bytes_, end}}};
  entries_ += "," + json_text(name) + ":" + json_text(tensor);
  data_bytes_ = end;
}

std::string SafetensorsHeader::text() const {
  std::string text = "{" + entries_ + "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace mimi::cli
