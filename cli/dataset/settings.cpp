#include "cli/dataset/settings.h"

#include <algorithm>
#include <array>
#include <utility>

#include "cli/byte_reader.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/sha256.h"
#include "cli/named_error.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr std::array<std::pair<Form, std::string_view>, 8> kForms = {
    {{Form::kMimi, "mimi"},
     {Form::kNpy, "npy"},
     {Form::kWds, "wds"},
     {Form::kSafetensors, "safetensors"},
     {Form::kParquet, "parquet"},
     {Form::kWav, "wav"},
     {Form::kFlac, "flac"},
     {Form::kOgg, "ogg"}}};
constexpr std::array<std::pair<ResamplerQuality, std::string_view>, 3> kResamplers = {
    {{ResamplerQuality::kBest, "best"},
     {ResamplerQuality::kMedium, "medium"},
     {ResamplerQuality::kFast, "fast"}}};
constexpr const char* kFormat = "mimi dataset";
constexpr int kVersion = 1;
constexpr std::int64_t kMostCount = std::int64_t{1} << 50;  // of anything in a dataset
// What is done for each row or shard, though none is there, comes to an end.
constexpr std::int64_t kMostRows = std::int64_t{1} << 40;
constexpr std::size_t kMostFileBytes = 1 << 20;
constexpr int kMostHz = 1 << 24;

template <typename T, std::size_t count>
std::optional<T> value_of(const std::array<std::pair<T, std::string_view>, count>& names,
                          std::string_view name) {
  for (const auto& [value, text] : names) {
    if (text == name) return value;
  }
  return std::nullopt;
}

template <typename T, std::size_t count>
std::string_view name_of(const std::array<std::pair<T, std::string_view>, count>& names, T value) {
  for (const auto& [known, text] : names) {
    if (known == value) return text;
  }
  return "";
}

Json channels_json(const ChannelChoice& channels) {
  if (channels.kind == ChannelChoice::Kind::kOne) return channels.index + 1;
  return "mix";
}

Json settings_json(const DatasetSettings& settings) {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"program", settings.program},
               {"as", form_name(settings.form)},
               {"shard_size", settings.shard_size},
               {"rows", settings.rows},
               {"shards", settings.shards()},
               {"inputs_sha256", settings.inputs_sha256},
               {"model", settings.model},
               {"fingerprint", settings.fingerprint},
               {"sample_rate", settings.sample_rate},
               {"frame_samples", settings.frame_samples},
               {"codebook_size", settings.codebook_size},
               {"levels", settings.levels},
               {"window", window_name(settings.window)},
               {"dtype", settings.dtype},
               {"arithmetic", settings.arithmetic},
               {"channels", channels_json(settings.channels)},
               {"resampler", resampler_name(settings.resampler)}};
  if (settings.form == Form::kParquet) json["writer"] = settings.writer;
  if (is_sound(settings.form)) {
    json["rate"] = settings.rate_hz;
    json["samples_as"] = settings.sample_format;
  }
  return json;
}

Json decisive_json(const DatasetSettings& settings) {
  Json json = settings_json(settings);
  json.erase("model");
  return json;
}

// What a dataset was begun with, and what to do.
std::string difference(const std::string& key, const Json& there, const Json& here) {
  if (key == "inputs_sha256") return "with other inputs; give the same";
  const std::string values = json_text(there) + ", not " + json_text(here);
  if (key == "rows") return "with other inputs, of 'rows' " + values + "; give the same";
  if (key == "program") return "by another version, " + values + "; use that one";
  return "with '" + key + "' " + values + "; give the same options";
}

template <typename T>
T known(const std::optional<T>& value, const char* key) {
  if (!value) throw Error(std::string("'") + key + "' is unknown");
  return *value;
}

// A whole number from `least` to `most`.
std::int64_t whole(const Json& json, const char* key, std::int64_t least, std::int64_t most) {
  const Json& value = json.at(key);
  if (!value.is_number_integer() || value < least || value > most) {
    throw Error(std::string("'") + key + "' is no number from " + std::to_string(least) + " to " +
                std::to_string(most));
  }
  return value;
}

int small(const Json& json, const char* key, int least, int most) {
  return static_cast<int>(whole(json, key, least, most));
}

std::uint64_t count(const Json& json, const char* key, std::int64_t least,
                    std::int64_t most = kMostCount) {
  return static_cast<std::uint64_t>(whole(json, key, least, most));
}

DatasetSettings settings_from(const Json& json) {
  if (json.at("format") != kFormat || json.at("version") != kVersion) {
    throw Error("is not a dataset that this program knows");
  }
  DatasetSettings settings = {.program = json.at("program"),
                              .form = known(parse_form(json.at("as").get<std::string>()), "as"),
                              .shard_size = count(json, "shard_size", 1),
                              .rows = count(json, "rows", 1, kMostRows),
                              .inputs_sha256 = json.at("inputs_sha256"),
                              .model = json.at("model"),
                              .fingerprint = json.at("fingerprint"),
                              .sample_rate = small(json, "sample_rate", 1, kMostHz),
                              .frame_samples = small(json, "frame_samples", 1, kMostHz),
                              .codebook_size = small(json, "codebook_size", 1, 1 << 16),
                              .levels = small(json, "levels", 1, kMaxTokenLevels),
                              .window = parse_window(json.at("window").get<std::string>()),
                              .dtype = json.at("dtype"),
                              .arithmetic = small(json, "arithmetic", 0, 255)};
  if (json.at("channels") != "mix") {
    settings.channels = {.kind = ChannelChoice::Kind::kOne,
                         .index = small(json, "channels", 1, 1 << 16) - 1};
  }
  settings.resampler =
      known(value_of(kResamplers, json.at("resampler").get<std::string>()), "resampler");
  if (settings.form == Form::kParquet) settings.writer = json.at("writer");
  if (is_sound(settings.form)) {
    settings.rate_hz = small(json, "rate", 1, kMostHz);
    settings.sample_format = json.at("samples_as");
  }
  if (json.at("shards") != settings.shards() || settings.shards() > kMostShards) {
    throw Error("its numbers do not fit together");
  }
  return settings;
}

std::string text_of_dataset_file(const std::string& path) {
  ByteReader bytes(open_for_reading(path), path);
  std::vector<std::uint8_t> text(kMostFileBytes + 1);
  text.resize(bytes.read_fully(text));
  if (text.size() > kMostFileBytes) throw NamedError(path, "is too long for a dataset.json");
  return {text.begin(), text.end()};
}

}  // namespace

std::string_view form_name(Form form) { return name_of(kForms, form); }
std::optional<Form> parse_form(std::string_view name) { return value_of(kForms, name); }
bool is_file_per_row(Form form) {
  return form != Form::kWds && form != Form::kSafetensors && form != Form::kParquet;
}
bool is_sound(Form form) { return form == Form::kWav || form == Form::kFlac || form == Form::kOgg; }
std::string_view resampler_name(ResamplerQuality quality) { return name_of(kResamplers, quality); }

std::uint64_t DatasetSettings::rows_of(std::uint64_t shard) const {
  return std::min(shard_size, rows - first_row(shard));
}

std::string DatasetSettings::sha256() const {
  return hex(mimi::cli::sha256(json_text(decisive_json(*this))));
}

Json codes_metadata(const DatasetSettings& settings, std::uint64_t shard) {
  return {{"model", settings.model},
          {"fingerprint", settings.fingerprint},
          {"window", window_name(settings.window)},
          {"dtype", settings.dtype},
          {"arithmetic", std::to_string(settings.arithmetic)},
          {"shard", std::to_string(shard)}};
}

std::string dataset_text(const DatasetSettings& settings,
                         const std::optional<DatasetCounts>& counts) {
  Json json = settings_json(settings);
  json["complete"] = counts.has_value();
  if (counts) {
    json["done"] = counts->done;
    json["failed"] = counts->failed;
    json["seconds"] = counts->seconds;
    json["samples"] = counts->samples;
    json["frames"] = counts->frames;
  }
  return json.dump(1) + "\n";
}

DatasetFile read_dataset_file(const std::string& path) {
  const std::string text = text_of_dataset_file(path);
  try {
    const Json json = parse_json(text);
    DatasetFile dataset = {.settings = settings_from(json)};
    if (json.at("complete").get<bool>()) {
      dataset.counts = {.done = count(json, "done", 0, kMostRows),
                        .failed = count(json, "failed", 0, kMostRows),
                        .samples = count(json, "samples", 0),
                        .frames = count(json, "frames", 0),
                        .seconds = json.at("seconds")};
    }
    return dataset;
  } catch (const Json::exception&) {
    throw NamedError(path, "is not a dataset.json as mimi tokenize writes it");
  } catch (const Error& error) {
    throw NamedError(path, error.what());
  }
}

void check_same(const DatasetSettings& found, const DatasetSettings& asked,
                const std::string& name) {
  const Json there = decisive_json(found), here = decisive_json(asked);
  for (const auto& [key, value] : here.items()) {
    if (there.at(key) == value) continue;
    throw NamedError(name,
                     "was begun " + difference(key, there.at(key), value) + ", or another --out");
  }
}

}  // namespace mimi::cli
