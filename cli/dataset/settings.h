// dataset.json: what a dataset was made with, and what it holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/audio_format.h"
#include "cli/dataset/row.h"
#include "cli/printable.h"
#include "core/codec.h"

namespace mimi::cli {

enum class Form { kMimi, kNpy, kWds, kSafetensors, kParquet, kWav, kFlac, kOgg };
std::string_view form_name(Form form);
std::optional<Form> parse_form(std::string_view name);
// Whether each row has an output of its own, rather than each shard.
bool is_file_per_row(Form form);
// Of what `mimi detokenize` makes.
bool is_sound(Form form);

struct DatasetCounts {
  std::uint64_t done = 0, failed = 0;
  std::uint64_t samples = 0, frames = 0;
  double seconds = 0;
};

constexpr std::uint64_t kMostShards = std::uint64_t{1} << 32;

// What must not change between the calls that make one dataset.
struct DatasetSettings {
  std::string program;
  Form form = Form::kMimi;
  std::uint64_t shard_size = 0;  // rows
  std::uint64_t rows = 0;
  std::string inputs_sha256;
  std::string model;  // its name; the one member that may change
  std::string fingerprint;
  int sample_rate = 0;
  int frame_samples = 0;
  int codebook_size = 0;
  int levels = 0;
  Window window = Window::kOffline;
  std::string dtype;
  int arithmetic = 0;
  ChannelChoice channels;
  ResamplerQuality resampler = ResamplerQuality::kBest;
  std::string writer;  // of Parquet alone: what its bytes depend on besides
  // Of sound alone.
  int rate_hz = 0;
  std::string sample_format;

  std::uint64_t shards() const { return rows / shard_size + (rows % shard_size == 0 ? 0 : 1); }
  std::uint64_t first_row(std::uint64_t shard) const { return shard * shard_size; }
  std::uint64_t rows_of(std::uint64_t shard) const;
  // Of all that must not change.
  std::string sha256() const;
};

// What a shard's file says of its codes where its format has a place for that: an object of texts.
Json codes_metadata(const DatasetSettings& settings, std::uint64_t shard);

// The text of dataset.json; with counts, of a finished dataset.
std::string dataset_text(const DatasetSettings& settings,
                         const std::optional<DatasetCounts>& counts);

struct DatasetFile {
  DatasetSettings settings;
  std::optional<DatasetCounts> counts;  // of a finished dataset
};
// Throws mimi::Error naming the file.
DatasetFile read_dataset_file(const std::string& path);

// Throws mimi::Error naming the first thing that differs.
void check_same(const DatasetSettings& found, const DatasetSettings& asked,
                const std::string& name);

std::string_view resampler_name(ResamplerQuality quality);

}  // namespace mimi::cli
