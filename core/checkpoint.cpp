#include "core/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/canonical_tensors.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "core/model_path.h"
#include "core/quote.h"
#include "core/safetensors.h"

namespace mimi {

namespace {

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

std::string TensorSpec::canonical_name() const {
  return is_codebook ? join(name, kEmbedSuffix) : name;
}

std::uint32_t model_fingerprint(const Config& config, std::span<const TensorChecksum> tensors) {
  std::string text = "mimi-model 1\n" + config_text(config);
  for (const TensorChecksum& tensor : tensors) {
    text += tensor_line(tensor.name, tensor.shape, tensor.checksum);
  }
  return crc32c(0, std::as_bytes(std::span(text)));
}

struct Checkpoint::Impl {
  std::optional<MappedFile> file;  // none where the content is the caller's
  std::string name;
  CanonicalTensors tensors;
  std::optional<Conversion> conversion;

  // What any thread has read: the checksums of canonical tensors, and the names in the index.
  std::mutex mutex;
  std::map<std::string, std::uint32_t, std::less<>> checksums;
  std::set<std::string, std::less<>> used;

  void read_conversion(const std::map<std::string, std::string>& metadata);
  // Makes the values that have no view, in `kept` where there is such. Sees that all are finite,
  // and keeps their checksum.
  void look_at(std::string_view tensor, const TensorValues& values, float* kept);
  Floats read(const TensorSpec& tensor);
  Weights read_weights(const TensorSpec& tensor);
  std::uint32_t checksum(const TensorSpec& tensor);
  void mark_used(const TensorSpec& tensor);
};

void Checkpoint::Impl::read_conversion(const std::map<std::string, std::string>& metadata) {
  if (metadata.empty()) return;
  const auto text = [&](const char* key) -> const std::string& {
    const auto found = metadata.find(key);
    if (found == metadata.end())
      throw Error(tensors.source + ": metadata " + quote(key) + " is missing");
    return found->second;
  };
  const auto number = [&](const char* key) {
    const std::string& digits = text(key);
    std::uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 8 || error != std::errc() || end != digits.data() + digits.size()) {
      throw Error(tensors.source + ": metadata " + quote(key) + " is " + quote(digits) +
                  ", expected 8 hex digits");
    }
    return value;
  };
  const std::string& dtype = text("mimi.dtype");
  if (dtype != "bf16" && dtype != "int8") {
    throw Error(tensors.source + ": metadata 'mimi.dtype' is " + quote(dtype) +
                ", expected 'bf16' or 'int8'");
  }
  conversion = {.dtype = dtype,
                .fingerprint = number("mimi.fingerprint"),
                .checksum = number("mimi.checksum")};
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
    tensors.check_finite(tensor, block, begin);
    checksum = crc32c(checksum, std::as_bytes(block));
  }
  const std::lock_guard lock(mutex);
  checksums.emplace(tensor, checksum);
}

Floats Checkpoint::Impl::read(const TensorSpec& tensor) {
  const TensorValues found = tensors.values(tensor);
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
  const auto found = tensors.index.find(tensor.name);
  // A part of a tensor is cut out and reordered, which needs values.
  const bool is_whole = found != tensors.index.end() && found->second.part == TensorPart::kWhole;
  const TensorEntry* const entry = is_whole ? &tensors.entries[found->second.entry] : nullptr;
  const bool is_half = entry != nullptr && entry->dtype == TensorType::kBF16 &&
                       reinterpret_cast<std::uintptr_t>(entry->data.data()) % 2 == 0;
  const bool is_bytes = entry != nullptr && entry->dtype == TensorType::kInt8;
  if (!conversion || !(is_half || is_bytes)) {
    weights.floats = read(tensor);
    weights.data = weights.floats.view().data();
    return weights;
  }
  const TensorValues looked_at = tensors.values(tensor);
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

std::uint32_t Checkpoint::Impl::checksum(const TensorSpec& tensor) {
  const std::string canonical = tensor.canonical_name();
  {
    const std::lock_guard lock(mutex);
    const auto found = checksums.find(canonical);
    if (found != checksums.end()) return found->second;
  }
  look_at(canonical, tensors.values(tensor), nullptr);
  const std::lock_guard lock(mutex);
  return checksums.find(canonical)->second;
}

void Checkpoint::Impl::mark_used(const TensorSpec& tensor) {
  const std::lock_guard lock(mutex);
  if (!tensor.is_codebook || tensors.index.contains(tensor.canonical_name())) {
    used.insert(tensor.canonical_name());
  } else {
    used.insert({join(tensor.name, kSumSuffix), join(tensor.name, kUsageSuffix)});
  }
}

Checkpoint Checkpoint::open(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto impl = std::make_unique<Impl>();
  CanonicalTensors& tensors = impl->tensors;
  tensors.source = fs::is_directory(path, ignored) ? find_checkpoint(path) : path;
  impl->name = model_name(path);
  impl->file.emplace(tensors.source);
  std::map<std::string, std::string> metadata;
  tensors.entries = parse_safetensors(impl->file->bytes(), tensors.source, &metadata);
  tensors.index = index_tensors(tensors.entries, tensors.source);
  impl->read_conversion(metadata);
  if (is_kyutai_layout(tensors.entries)) {
    tensors.config = derive_kyutai_config(tensors.entries, tensors.index, tensors.source);
  } else {
    const std::string config_path = fs::path(tensors.source).replace_filename("config.json");
    if (!fs::exists(config_path, ignored)) {
      throw Error(tensors.source + ": needs " + config_path + ", which is not there");
    }
    const MappedFile config(config_path);
    const auto text = config.bytes();
    tensors.config =
        parse_config({reinterpret_cast<const char*>(text.data()), text.size()}, config_path);
  }
  return Checkpoint(std::move(impl));
}

Checkpoint Checkpoint::from_memory(std::span<const std::byte> safetensors,
                                   std::string_view config_json, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->tensors.source = name;
  impl->name = name;
  impl->tensors.entries = parse_safetensors(safetensors, name);
  impl->tensors.index = index_tensors(impl->tensors.entries, name);
  impl->tensors.config = parse_config(config_json, name);
  return Checkpoint(std::move(impl));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const Config& Checkpoint::config() const { return impl_->tensors.config; }
const std::string& Checkpoint::name() const { return impl_->name; }
const std::string& Checkpoint::source() const { return impl_->tensors.source; }
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
  const CanonicalTensors& tensors = impl_->tensors;
  const auto release = [&](const std::string& name) {
    const auto found = tensors.index.find(name);
    if (found != tensors.index.end()) {
      impl_->file->release(tensors.entries[found->second.entry].data);
    }
  };
  release(tensor.is_codebook ? join(tensor.name, kSumSuffix) : tensor.name);
  if (tensor.is_codebook) release(join(tensor.name, kEmbedSuffix));
}

void Checkpoint::expect_all_used() const {
  constexpr std::size_t kListed = 3;
  const std::lock_guard lock(impl_->mutex);
  std::set<std::size_t> unused;  // of the entries: three canonical tensors may be one
  for (const auto& [name, origin] : impl_->tensors.index) {
    if (name.ends_with(kFlagSuffix) || impl_->used.contains(name)) continue;
    if (!impl_->tensors.is_scale(name)) unused.insert(origin.entry);
  }
  if (unused.empty()) return;
  std::string list;
  std::size_t listed = 0;
  for (const std::size_t entry : unused) {
    if (listed == kListed) break;
    list += (listed++ == 0 ? " " : ", ") + quote(impl_->tensors.entries[entry].name);
  }
  if (unused.size() > kListed) list += " and " + std::to_string(unused.size() - kListed) + " more";
  throw Error(impl_->tensors.source + ": holds what no Mimi of its dimensions has:" + list);
}

std::uint32_t Checkpoint::fingerprint() const {
  std::vector<TensorChecksum> tensors;
  for (const auto& [name, shape] : impl_->tensors.shapes()) {
    TensorSpec tensor = {.name = name,
                         .shape = shape,
                         .is_codebook = name.ends_with(kEmbedSuffix),
                         .phases = TensorSpec::kAnyPhases};
    if (tensor.is_codebook) tensor.name.resize(name.size() - kEmbedSuffix.size());
    tensors.push_back({name, shape, impl_->checksum(tensor)});
  }
  return model_fingerprint(impl_->tensors.config, tensors);
}

std::int64_t Checkpoint::parameters() const {
  std::int64_t count = 0;
  for (const auto& [name, shape] : impl_->tensors.shapes()) {
    count += TensorSpec{.name = name, .shape = shape}.values();
  }
  return count;
}

}  // namespace mimi
