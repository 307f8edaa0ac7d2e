#include "core/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/crc32c.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/mapped_file.h"
#include "core/model_path.h"
#include "core/quote.h"
#include "core/safetensors.h"

namespace mimi {

namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::string_view kFlag = ".codebook.initialized";
constexpr std::string_view kUsage = ".cluster_usage";
constexpr std::string_view kSum = ".embed_sum";
constexpr std::string_view kEmbed = ".embed";
constexpr std::string_view kScale = "_scale";

std::string join(std::string_view prefix, std::string_view suffix) {
  return std::string(prefix).append(suffix);
}

// The values of one canonical tensor: as they lie in the file or, where the file has another type
// or order, made by blocks.
struct TensorValues {
  std::size_t count = 0;
  std::span<const float> view;
  std::function<void(std::size_t first, std::span<float> values)> make;  // where there is no view
  // Of I8, the bytes and the scales: known to be finite.
  std::vector<std::span<const std::byte>> stored;
};

// Of rows of q or k for rotary pairs (2i, 2i + 1), those for pairs (i, i + head_dim / 2) in every
// head; `first` is the number of the first value.
void widen_as_halves(std::span<const std::byte> rows, TensorType dtype, const Config& config,
                     std::size_t first, std::span<float> values) {
  const auto head_dim = static_cast<std::size_t>(config.head_dim());
  const auto columns = static_cast<std::size_t>(config.hidden_size);
  const std::size_t bytes = value_bytes(dtype);
  while (!values.empty()) {
    const std::size_t row = first / columns, column = first % columns;
    const std::size_t place = row % head_dim;
    const std::size_t half = place / (head_dim / 2), pair = place % (head_dim / 2);
    const std::size_t from = (row - place + 2 * pair + half) * columns + column;
    const std::size_t count = std::min(columns - column, values.size());
    widen(rows.subspan(from * bytes, count * bytes), dtype, values.first(count));
    values = values.subspan(count);
    first += count;
  }
}

// Multiplies values of a column, the first being number `place` of its run, by the column's scales.
void scale_run(std::span<float> values, std::size_t place, std::span<const float> scales) {
  if (scales.size() == 1) {
    for (float& value : values) value *= scales[0];
    return;
  }
  std::size_t phase = place % scales.size();
  for (float& value : values) {
    value *= scales[phase];
    phase = phase + 1 == scales.size() ? 0 : phase + 1;
  }
}

std::string tensor_line(std::string_view name, std::span<const std::int64_t> shape,
                        std::uint32_t checksum) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::string sizes = shape_text(shape);
  std::string line = join("tensor ", name) + " " + sizes.substr(1, sizes.size() - 2) + " ";
  for (int shift = 28; shift >= 0; shift -= 4) line += kDigits[(checksum >> shift) & 15];
  return line + "\n";
}

}  // namespace

std::int64_t TensorSpec::values() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::string TensorSpec::canonical_name() const { return is_codebook ? join(name, kEmbed) : name; }

std::uint32_t model_fingerprint(const Config& config, std::span<const TensorChecksum> tensors) {
  std::string text = "mimi-model 1\n" + config_text(config);
  for (const TensorChecksum& tensor : tensors) {
    text += tensor_line(tensor.name, tensor.shape, tensor.checksum);
  }
  return crc32c(0, std::as_bytes(std::span(text)));
}

struct Checkpoint::Impl {
  std::optional<MappedFile> file;  // none where the content is the caller's
  std::string source;              // the file, in messages
  std::string name;
  Config config;
  std::optional<Conversion> conversion;
  std::vector<TensorEntry> entries;
  TensorIndex index;

  // What any thread has read: the checksums of canonical tensors, and the names in `index`.
  std::mutex mutex;
  std::map<std::string, std::uint32_t, std::less<>> checksums;
  std::set<std::string, std::less<>> used;

  [[noreturn]] void fail(std::string_view tensor, const std::string& what) const {
    throw Error(source + ": tensor " + quote(tensor) + what);
  }

  TensorValues values(std::string_view tensor, std::span<const std::int64_t> shape) const;
  TensorValues scaled_values(std::string_view tensor, const TensorEntry& entry) const;
  bool is_scale(std::string_view tensor) const;
  void read_conversion(const std::map<std::string, std::string>& metadata);
  TensorValues codebook_values(std::string_view prefix) const;
  TensorValues values(const TensorSpec& tensor) const;
  // Throws at a value that is not finite; `first` is the number of the first value.
  void check_finite(std::string_view tensor, std::span<const float> values,
                    std::size_t first) const;
  // Makes the values that have no view, in `kept` where there is such. Sees that all are finite,
  // and keeps their checksum.
  void look_at(std::string_view tensor, const TensorValues& values, float* kept);
  Floats read(const TensorSpec& tensor);
  Weights read_weights(const TensorSpec& tensor);
  std::map<std::string, Shape> canonical_shapes() const;
  std::uint32_t checksum(const TensorSpec& tensor);
  void mark_used(const TensorSpec& tensor);
};

TensorValues Checkpoint::Impl::values(std::string_view tensor,
                                      std::span<const std::int64_t> shape) const {
  const auto found = index.find(tensor);
  if (found == index.end()) fail(tensor, " is missing, expected " + shape_text(shape));
  const TensorOrigin& origin = found->second;
  const TensorEntry& entry = entries[origin.entry];
  Shape expected(shape.begin(), shape.end());
  if (origin.part != TensorPart::kWhole && !expected.empty()) expected.front() *= 3;
  if (entry.shape != expected) {
    fail(entry.name, " is " + shape_text(entry.shape) + ", expected " + shape_text(expected));
  }
  const bool is_whole = origin.part == TensorPart::kWhole;
  if (entry.dtype == TensorType::kOther || (entry.dtype == TensorType::kInt8 && !is_whole)) {
    fail(entry.name, " is " + entry.dtype_name + ", expected F32, F16 or BF16");
  }
  if (entry.dtype == TensorType::kInt8) return scaled_values(tensor, entry);
  std::span<const std::byte> data = entry.data;
  if (origin.part != TensorPart::kWhole) {
    const std::size_t third = data.size() / 3;
    data = data.subspan(third * (static_cast<std::size_t>(origin.part) - 1), third);
  }
  const TensorType dtype = entry.dtype;
  TensorValues values = {
      .count = data.size() / value_bytes(dtype), .view = {}, .make = {}, .stored = {}};
  if (origin.part == TensorPart::kQuery || origin.part == TensorPart::kKey) {
    values.make = [this, data, dtype](std::size_t first, std::span<float> made) {
      widen_as_halves(data, dtype, config, first, made);
    };
    return values;
  }
  values.view = view_float32(data, dtype);
  values.make = [data, dtype](std::size_t first, std::span<float> made) {
    const std::size_t bytes = value_bytes(dtype);
    widen(data.subspan(first * bytes, made.size() * bytes), dtype, made);
  };
  return values;
}

// Bytes times the scales of their columns.
TensorValues Checkpoint::Impl::scaled_values(std::string_view tensor,
                                             const TensorEntry& entry) const {
  const std::string scale_name = join(tensor, kScale);
  const auto found = index.find(scale_name);
  if (found == index.end()) fail(tensor, " is I8, but " + quote(scale_name) + " is missing");
  const TensorEntry& scale = entries[found->second.entry];
  const Shape& shape = entry.shape;
  const bool by_phases = scale.shape.size() == 2 && shape.size() == 3;
  const std::int64_t phases = by_phases ? scale.shape[1] : 1;
  const std::int64_t columns = shape.empty() ? 0 : shape[by_phases ? 1 : 0];
  const bool fits = by_phases ? scale.shape[0] == columns && phases > 0 && shape[2] % phases == 0
                              : scale.shape == Shape{columns};
  if (!fits || scale.dtype != TensorType::kF32) {
    fail(scale_name, " is " + scale.dtype_name + " " + shape_text(scale.shape) +
                         ", which are not the scales of I8 " + shape_text(shape));
  }
  std::vector<float> scales(static_cast<std::size_t>(columns * phases));
  widen(scale.data, scale.dtype, scales);
  check_finite(scale_name, scales, 0);
  for (const float s : scales) {
    if (std::isfinite(127 * s)) continue;
    fail(scale_name, " holds " + std::to_string(s) + ", which makes values that are not finite");
  }
  const std::size_t count = entry.data.size();
  // Values that lie together: those of a column or, with phases, of one of its input channels.
  const std::size_t run = by_phases ? static_cast<std::size_t>(shape[2])
                                    : count / std::max<std::size_t>(1, scales.size());
  const auto make = [data = entry.data, scales, run, phases = static_cast<std::size_t>(phases)](
                        std::size_t first, std::span<float> made) {
    widen(data.subspan(first, made.size()), TensorType::kInt8, made);
    const std::size_t runs = scales.size() / phases;
    for (std::size_t column = first / run % runs, place = first % run; !made.empty();
         column = (column + 1) % runs, place = 0) {
      const std::span<float> values = made.first(std::min(run - place, made.size()));
      scale_run(values, place, std::span(scales).subspan(column * phases, phases));
      made = made.subspan(values.size());
    }
  };
  return {.count = count, .view = {}, .make = make, .stored = {entry.data, scale.data}};
}

bool Checkpoint::Impl::is_scale(std::string_view tensor) const {
  if (!tensor.ends_with(kScale)) return false;
  const auto scaled = index.find(tensor.substr(0, tensor.size() - kScale.size()));
  return scaled != index.end() && entries[scaled->second.entry].dtype == TensorType::kInt8;
}

void Checkpoint::Impl::read_conversion(const std::map<std::string, std::string>& metadata) {
  if (metadata.empty()) return;
  const auto text = [&](const char* key) -> const std::string& {
    const auto found = metadata.find(key);
    if (found == metadata.end()) throw Error(source + ": metadata " + quote(key) + " is missing");
    return found->second;
  };
  const auto number = [&](const char* key) {
    const std::string& digits = text(key);
    std::uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 8 || error != std::errc() || end != digits.data() + digits.size()) {
      throw Error(source + ": metadata " + quote(key) + " is " + quote(digits) +
                  ", expected 8 hex digits");
    }
    return value;
  };
  const std::string& dtype = text("mimi.dtype");
  if (dtype != "bf16" && dtype != "int8") {
    throw Error(source + ": metadata 'mimi.dtype' is " + quote(dtype) +
                ", expected 'bf16' or 'int8'");
  }
  conversion = {.dtype = dtype,
                .fingerprint = number("mimi.fingerprint"),
                .checksum = number("mimi.checksum")};
}

void Checkpoint::Impl::check_finite(std::string_view tensor, std::span<const float> values,
                                    std::size_t first) const {
  if (all_finite(values)) return;
  const auto found = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
  const auto place = first + static_cast<std::size_t>(found - values.begin());
  fail(tensor, " holds " + std::to_string(*found) + " as value " + std::to_string(place) +
                   ", expected finite values");
}

TensorValues Checkpoint::Impl::codebook_values(std::string_view prefix) const {
  const Shape shape = {config.codebook_size, config.codebook_dim};
  const std::string embed = join(prefix, kEmbed);
  if (index.contains(embed)) return values(embed, shape);

  TensorValues sums = values(join(prefix, kSum), shape);
  const TensorValues uses = values(join(prefix, kUsage), std::span(shape).first(1));
  std::vector<float> divisors(uses.count);
  uses.make(0, divisors);
  // A use that is infinite would make finite entries; other ill values show in the entries.
  check_finite(join(prefix, kUsage), divisors, 0);
  for (float& divisor : divisors) divisor = std::max(divisor, 1e-5F);
  const auto dim = static_cast<std::size_t>(config.codebook_dim);
  const auto make = [make_sums = sums.make, divisors, dim](std::size_t first,
                                                           std::span<float> made) {
    make_sums(first, made);
    while (!made.empty()) {
      const std::size_t count = std::min(dim - first % dim, made.size());
      const float divisor = divisors[first / dim];
      for (float& value : made.first(count)) value /= divisor;
      made = made.subspan(count);
      first += count;
    }
  };
  return {.count = sums.count, .view = {}, .make = make, .stored = {}};
}

TensorValues Checkpoint::Impl::values(const TensorSpec& tensor) const {
  return tensor.is_codebook ? codebook_values(tensor.name) : values(tensor.name, tensor.shape);
}

void Checkpoint::Impl::look_at(std::string_view tensor, const TensorValues& values, float* kept) {
  bool is_known = false;
  {
    const std::lock_guard lock(mutex);
    is_known = checksums.contains(tensor);
  }
  if (is_known && (kept == nullptr || !values.view.empty())) return;
  constexpr std::size_t kBlock = 4096;  // every look at it finds it in the first-level cache
  std::array<float, kBlock> room;       // NOLINT(*-member-init): filled below
  std::uint32_t checksum = 0;
  for (const std::span<const std::byte> bytes : values.stored) checksum = crc32c(checksum, bytes);
  const bool is_summed = is_known || !values.stored.empty();
  for (std::size_t begin = 0; begin < values.count; begin += kBlock) {
    if (is_summed && kept == nullptr) break;
    const std::size_t size = std::min(kBlock, values.count - begin);
    std::span<const float> block;
    if (values.view.empty()) {
      const std::span<float> made(kept == nullptr ? room.data() : kept + begin, size);
      values.make(begin, made);
      block = made;
    } else {
      block = values.view.subspan(begin, size);
    }
    if (is_summed) continue;
    check_finite(tensor, block, begin);
    checksum = crc32c(checksum, std::as_bytes(block));
  }
  const std::lock_guard lock(mutex);
  checksums.emplace(tensor, checksum);
}

Floats Checkpoint::Impl::read(const TensorSpec& tensor) {
  const TensorValues found = values(tensor);
  const std::string canonical = tensor.canonical_name();
  if (!found.view.empty()) {
    look_at(canonical, found, nullptr);
    return Floats(found.view);
  }
  auto kept = std::make_unique_for_overwrite<float[]>(found.count);
  look_at(canonical, found, kept.get());
  return {std::move(kept), found.count};
}

Weights Checkpoint::Impl::read_weights(const TensorSpec& tensor) {
  Weights weights;
  const auto found = index.find(tensor.name);
  // A part of a tensor is cut out and reordered, which needs values.
  const bool is_whole = found != index.end() && found->second.part == TensorPart::kWhole;
  const TensorEntry* const entry = is_whole ? &entries[found->second.entry] : nullptr;
  const bool is_half = entry != nullptr && entry->dtype == TensorType::kBF16 &&
                       reinterpret_cast<std::uintptr_t>(entry->data.data()) % 2 == 0;
  const bool is_bytes = entry != nullptr && entry->dtype == TensorType::kInt8;
  if (!conversion || !(is_half || is_bytes)) {
    weights.floats = read(tensor);
    weights.data = weights.floats.view().data();
    return weights;
  }
  const TensorValues looked_at = values(tensor);
  look_at(tensor.canonical_name(), looked_at, nullptr);
  weights.data = entry->data.data();
  weights.dtype = is_half ? kernels::Dtype::kBf16 : kernels::Dtype::kInt8;
  if (is_bytes) {
    const std::span<const std::byte> scales = looked_at.stored.back();
    weights.scales.resize(scales.size() / sizeof(float));
    widen(scales, TensorType::kF32, weights.scales);
  }
  return weights;
}

std::map<std::string, Shape> Checkpoint::Impl::canonical_shapes() const {
  std::map<std::string, Shape> shapes;
  for (const auto& [tensor, origin] : index) {
    if (tensor.ends_with(kFlag) || tensor.ends_with(kUsage) || is_scale(tensor)) continue;
    Shape shape = entries[origin.entry].shape;
    if (origin.part != TensorPart::kWhole) shape.front() /= 3;
    const bool is_sum = tensor.ends_with(kSum);
    const std::size_t cut = tensor.size() - (is_sum ? kSum.size() : 0);
    shapes.emplace(join(tensor.substr(0, cut), is_sum ? kEmbed : ""), std::move(shape));
  }
  return shapes;
}

std::uint32_t Checkpoint::Impl::checksum(const TensorSpec& tensor) {
  const std::string canonical = tensor.canonical_name();
  {
    const std::lock_guard lock(mutex);
    const auto found = checksums.find(canonical);
    if (found != checksums.end()) return found->second;
  }
  look_at(canonical, values(tensor), nullptr);
  const std::lock_guard lock(mutex);
  return checksums.find(canonical)->second;
}

void Checkpoint::Impl::mark_used(const TensorSpec& tensor) {
  const std::lock_guard lock(mutex);
  if (!tensor.is_codebook || index.contains(tensor.canonical_name())) {
    used.insert(tensor.canonical_name());
  } else {
    used.insert({join(tensor.name, kSum), join(tensor.name, kUsage)});
  }
}

Checkpoint Checkpoint::open(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto impl = std::make_unique<Impl>();
  impl->source = fs::is_directory(path, ignored) ? find_checkpoint(path) : path;
  impl->name = model_name(path);
  impl->file.emplace(impl->source);
  std::map<std::string, std::string> metadata;
  impl->entries = parse_safetensors(impl->file->bytes(), impl->source, &metadata);
  impl->index = index_tensors(impl->entries, impl->source);
  impl->read_conversion(metadata);
  if (is_kyutai_layout(impl->entries)) {
    impl->config = derive_kyutai_config(impl->entries, impl->index, impl->source);
  } else {
    const std::string config_path = fs::path(impl->source).replace_filename("config.json");
    if (!fs::exists(config_path, ignored)) {
      throw Error(impl->source + ": needs " + config_path + ", which is not there");
    }
    const MappedFile config(config_path);
    const auto text = config.bytes();
    impl->config =
        parse_config({reinterpret_cast<const char*>(text.data()), text.size()}, config_path);
  }
  return Checkpoint(std::move(impl));
}

Checkpoint Checkpoint::from_memory(std::span<const std::byte> safetensors,
                                   std::string_view config_json, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->source = name;
  impl->name = name;
  impl->entries = parse_safetensors(safetensors, name);
  impl->index = index_tensors(impl->entries, name);
  impl->config = parse_config(config_json, name);
  return Checkpoint(std::move(impl));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const Config& Checkpoint::config() const { return impl_->config; }
const std::string& Checkpoint::name() const { return impl_->name; }
const std::string& Checkpoint::source() const { return impl_->source; }
const std::optional<Conversion>& Checkpoint::conversion() const { return impl_->conversion; }

Floats Checkpoint::read(const TensorSpec& tensor) const {
  impl_->mark_used(tensor);
  return impl_->read(tensor);
}

Weights Checkpoint::read_weights(const TensorSpec& tensor) const {
  impl_->mark_used(tensor);
  return impl_->read_weights(tensor);
}

void Checkpoint::check(const TensorSpec& tensor) const {
  impl_->mark_used(tensor);
  impl_->checksum(tensor);
}

void Checkpoint::release(const TensorSpec& tensor) const {
  if (!impl_->file) return;
  const auto release = [this](const std::string& name) {
    const auto found = impl_->index.find(name);
    if (found != impl_->index.end()) {
      impl_->file->release(impl_->entries[found->second.entry].data);
    }
  };
  release(tensor.is_codebook ? join(tensor.name, kSum) : tensor.name);
  if (tensor.is_codebook) release(join(tensor.name, kEmbed));
}

void Checkpoint::expect_all_used() const {
  constexpr std::size_t kListed = 3;
  const std::lock_guard lock(impl_->mutex);
  std::set<std::size_t> unused;  // of the entries: three canonical tensors may be one
  for (const auto& [name, origin] : impl_->index) {
    if (name.ends_with(kFlag) || impl_->used.contains(name)) continue;
    if (!impl_->is_scale(name)) unused.insert(origin.entry);
  }
  if (unused.empty()) return;
  std::string list;
  std::size_t listed = 0;
  for (const std::size_t entry : unused) {
    if (listed == kListed) break;
    list += (listed++ == 0 ? " " : ", ") + quote(impl_->entries[entry].name);
  }
  if (unused.size() > kListed) list += " and " + std::to_string(unused.size() - kListed) + " more";
  throw Error(impl_->source + ": holds what no Mimi of its dimensions has:" + list);
}

std::uint32_t Checkpoint::fingerprint() const {
  std::vector<TensorChecksum> tensors;
  for (const auto& [name, shape] : impl_->canonical_shapes()) {
    TensorSpec tensor = {.name = name, .shape = shape, .is_codebook = name.ends_with(kEmbed)};
    if (tensor.is_codebook) tensor.name.resize(name.size() - kEmbed.size());
    tensors.push_back({name, shape, impl_->checksum(tensor)});
  }
  return model_fingerprint(impl_->config, tensors);
}

std::int64_t Checkpoint::parameters() const {
  std::int64_t count = 0;
  for (const auto& [name, shape] : impl_->canonical_shapes()) {
    count += TensorSpec{.name = name, .shape = shape}.values();
  }
  return count;
}

}  // namespace mimi
