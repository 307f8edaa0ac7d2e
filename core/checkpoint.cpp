#include "core/checkpoint.h"

#include <algorithm>
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

std::string join(std::string_view prefix, std::string_view suffix) {
  return std::string(prefix).append(suffix);
}

std::size_t count_of(std::span<const std::int64_t> shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

// Rows of q or k for rotary pairs (2i, 2i + 1) -> for pairs (i, i + head_dim / 2), in every head.
Floats interleaved_to_halves(std::span<const float> rows, const Config& config) {
  auto reordered = std::make_unique_for_overwrite<float[]>(rows.size());
  float* to = reordered.get();
  const int head_dim = config.head_dim();
  const auto columns = static_cast<std::size_t>(config.hidden_size);
  for (int head = 0; head < config.num_attention_heads; ++head) {
    for (int half = 0; half < 2; ++half) {
      for (int pair = 0; pair < head_dim / 2; ++pair) {
        const auto row = static_cast<std::size_t>(head * head_dim + 2 * pair + half);
        to = std::ranges::copy(rows.subspan(row * columns, columns), to).out;
      }
    }
  }
  return {std::move(reordered), rows.size()};
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

struct Checkpoint::Impl {
  std::optional<MappedFile> file;  // none where the content is the caller's
  std::string source;              // the file, in messages
  std::string name;
  Config config;
  std::vector<TensorEntry> entries;
  TensorIndex index;

  // What any thread has read: the checksums of canonical tensors, and the names in `index`.
  std::mutex mutex;
  std::map<std::string, std::uint32_t, std::less<>> checksums;
  std::set<std::string, std::less<>> used;

  [[noreturn]] void fail(std::string_view tensor, const std::string& what) const {
    throw Error(source + ": tensor " + quote(tensor) + what);
  }

  Floats values(std::string_view tensor, std::span<const std::int64_t> shape) const;
  // Throws at a value that is not finite; `first` is the number of the first value.
  void check_finite(std::string_view tensor, std::span<const float> values,
                    std::size_t first) const;
  void record(std::string_view tensor, std::span<const float> values);
  Floats read(std::string_view tensor, std::span<const std::int64_t> shape);
  Floats read_codebook(std::string_view prefix);
  std::map<std::string, Shape> canonical_shapes() const;
  std::uint32_t checksum(const std::string& tensor, std::span<const std::int64_t> shape);
  void mark_used(std::initializer_list<std::string> tensors);
};

// The values in the file, widened and in canonical order, unchecked.
Floats Checkpoint::Impl::values(std::string_view tensor,
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
  if (entry.dtype == TensorType::kOther) {
    fail(entry.name, " is " + entry.dtype_name + ", expected F32, F16 or BF16");
  }
  if (origin.part == TensorPart::kWhole) return to_float32(entry.data, entry.dtype);

  const std::size_t third = entry.data.size() / 3;
  const auto offset = third * (static_cast<std::size_t>(origin.part) - 1);
  Floats part = to_float32(entry.data.subspan(offset, third), entry.dtype);
  if (origin.part == TensorPart::kValue) return part;
  return interleaved_to_halves(part.view(), config);
}

void Checkpoint::Impl::check_finite(std::string_view tensor, std::span<const float> values,
                                    std::size_t first) const {
  if (all_finite(values)) return;
  const auto found = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
  const auto place = first + static_cast<std::size_t>(found - values.begin());
  fail(tensor, " holds " + std::to_string(*found) + " as value " + std::to_string(place) +
                   ", expected finite values");
}

// Keeps the checksum of a canonical tensor, after seeing that its values are finite.
void Checkpoint::Impl::record(std::string_view tensor, std::span<const float> values) {
  {
    const std::lock_guard lock(mutex);
    if (checksums.contains(tensor)) return;
  }
  constexpr std::size_t kBlock = 4096;  // both looks at it find it in the first-level cache
  std::uint32_t checksum = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    check_finite(tensor, block, begin);
    checksum = crc32c(checksum, std::as_bytes(block));
  }
  const std::lock_guard lock(mutex);
  checksums.emplace(tensor, checksum);
}

Floats Checkpoint::Impl::read(std::string_view tensor, std::span<const std::int64_t> shape) {
  Floats floats = values(tensor, shape);
  record(tensor, floats.view());
  return floats;
}

Floats Checkpoint::Impl::read_codebook(std::string_view prefix) {
  const Shape shape = {config.codebook_size, config.codebook_dim};
  const std::string embed = join(prefix, kEmbed);
  if (index.contains(embed)) return read(embed, shape);

  const Floats sums = values(join(prefix, kSum), shape);
  const Floats usage = values(join(prefix, kUsage), std::span(shape).first(1));
  // A use that is infinite would make finite entries; other ill values show in the entries.
  check_finite(join(prefix, kUsage), usage.view(), 0);
  auto codebook = std::make_unique_for_overwrite<float[]>(sums.view().size());
  const auto dim = static_cast<std::size_t>(config.codebook_dim);
  for (std::size_t entry = 0; entry < usage.view().size(); ++entry) {
    const float divisor = std::max(usage.view()[entry], 1e-5F);
    for (std::size_t i = entry * dim; i < (entry + 1) * dim; ++i) {
      codebook[i] = sums.view()[i] / divisor;
    }
  }
  Floats floats(std::move(codebook), sums.view().size());
  record(embed, floats.view());
  return floats;
}

std::map<std::string, Shape> Checkpoint::Impl::canonical_shapes() const {
  std::map<std::string, Shape> shapes;
  for (const auto& [tensor, origin] : index) {
    if (tensor.ends_with(kFlag) || tensor.ends_with(kUsage)) continue;
    Shape shape = entries[origin.entry].shape;
    if (origin.part != TensorPart::kWhole) shape.front() /= 3;
    const bool is_sum = tensor.ends_with(kSum);
    const std::size_t cut = tensor.size() - (is_sum ? kSum.size() : 0);
    shapes.emplace(join(tensor.substr(0, cut), is_sum ? kEmbed : ""), std::move(shape));
  }
  return shapes;
}

std::uint32_t Checkpoint::Impl::checksum(const std::string& tensor,
                                         std::span<const std::int64_t> shape) {
  {
    const std::lock_guard lock(mutex);
    const auto found = checksums.find(tensor);
    if (found != checksums.end()) return found->second;
  }
  if (tensor.ends_with(kEmbed)) {
    read_codebook(std::string_view(tensor).substr(0, tensor.size() - kEmbed.size()));
  } else {
    read(tensor, shape);
  }
  const std::lock_guard lock(mutex);
  return checksums.find(tensor)->second;
}

void Checkpoint::Impl::mark_used(std::initializer_list<std::string> tensors) {
  const std::lock_guard lock(mutex);
  used.insert(tensors);
}

Checkpoint Checkpoint::open(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto impl = std::make_unique<Impl>();
  impl->source = fs::is_directory(path, ignored) ? find_checkpoint(path) : path;
  impl->name = model_name(path);
  impl->file.emplace(impl->source);
  impl->entries = parse_safetensors(impl->file->bytes(), impl->source);
  impl->index = index_tensors(impl->entries, impl->source);
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

Floats Checkpoint::tensor(std::string_view name, std::span<const std::int64_t> shape) const {
  impl_->mark_used({std::string(name)});
  return impl_->read(name, shape);
}

Floats Checkpoint::codebook(std::string_view prefix) const {
  const bool direct = impl_->index.contains(join(prefix, kEmbed));
  if (direct) impl_->mark_used({join(prefix, kEmbed)});
  if (!direct) impl_->mark_used({join(prefix, kSum), join(prefix, kUsage)});
  return impl_->read_codebook(prefix);
}

void Checkpoint::expect_all_used() const {
  constexpr std::size_t kListed = 3;
  const std::lock_guard lock(impl_->mutex);
  std::set<std::size_t> unused;  // of the entries: three canonical tensors may be one
  for (const auto& [name, origin] : impl_->index) {
    if (!name.ends_with(kFlag) && !impl_->used.contains(name)) unused.insert(origin.entry);
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
  std::string text = "mimi-model 1\n" + config_text(impl_->config);
  for (const auto& [name, shape] : impl_->canonical_shapes()) {
    text += tensor_line(name, shape, impl_->checksum(name, shape));
  }
  return crc32c(0, std::as_bytes(std::span(text)));
}

std::int64_t Checkpoint::parameters() const {
  std::int64_t count = 0;
  for (const auto& [name, shape] : impl_->canonical_shapes()) {
    count += static_cast<std::int64_t>(count_of(shape));
  }
  return count;
}

}  // namespace mimi
