#include "core/canonical_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/floats.h"
#include "core/quote.h"

namespace mimi {

namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::string_view kScaleSuffix = "_scale";

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

// Of I8 whose layer is not known.
int phases_of(const Shape& shape, const Shape& scales) {
  if (shape.size() != 3) return 0;
  if (scales.size() == 2 && scales[1] <= shape[2]) return static_cast<int>(scales[1]);
  return scales == Shape{shape[0]} ? 0 : 1;
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

}  // namespace

std::string join(std::string_view prefix, std::string_view suffix) {
  return std::string(prefix).append(suffix);
}

void CanonicalTensors::fail(std::string_view tensor, const std::string& what) const {
  throw Error(source + ": tensor " + quote(tensor) + what);
}

TensorValues CanonicalTensors::values_of(std::string_view tensor,
                                         std::span<const std::int64_t> shape, int phases) const {
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
  if (entry.dtype == TensorType::kInt8) return scaled_values(tensor, entry, phases);
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
TensorValues CanonicalTensors::scaled_values(std::string_view tensor, const TensorEntry& entry,
                                             int phases) const {
  const std::string scale_name = join(tensor, kScaleSuffix);
  const auto found = index.find(scale_name);
  if (found == index.end()) fail(tensor, " is I8, but " + quote(scale_name) + " is missing");
  const TensorEntry& scale = entries[found->second.entry];
  const Shape& shape = entry.shape;
  if (phases == TensorSpec::kAnyPhases) phases = phases_of(shape, scale.shape);
  const bool by_phases = phases > 0 && shape.size() == 3;
  const std::int64_t columns = shape.empty() ? 0 : shape[by_phases ? 1 : 0];
  const Shape expected = phases > 1 ? Shape{columns, phases} : Shape{columns};
  const bool fits = scale.shape == expected && (phases <= 1 || shape.back() % phases == 0);
  if (!fits || scale.dtype != TensorType::kF32) {
    fail(scale_name, " is " + scale.dtype_name + " " + shape_text(scale.shape) +
                         ", which are not the scales of I8 " + shape_text(shape));
  }
  // Products of int8 rely on it, and what converts a model does not write it.
  if (!entry.data.empty() && std::memchr(entry.data.data(), 0x80, entry.data.size()) != nullptr) {
    fail(tensor, " holds -128, expected -127 to 127");
  }
  phases = std::max(phases, 1);
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

TensorValues CanonicalTensors::codebook_values(std::string_view prefix) const {
  const Shape shape = {config.codebook_size, config.codebook_dim};
  const std::string embed = join(prefix, kEmbedSuffix);
  if (index.contains(embed)) return values_of(embed, shape);

  TensorValues sums = values_of(join(prefix, kSumSuffix), shape);
  const TensorValues uses = values_of(join(prefix, kUsageSuffix), std::span(shape).first(1));
  std::vector<float> divisors(uses.count);
  uses.make(0, divisors);
  // A use that is infinite would make finite entries; other ill values show in the entries.
  check_finite(join(prefix, kUsageSuffix), divisors, 0);
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

TensorValues CanonicalTensors::values(const TensorSpec& tensor) const {
  return tensor.is_codebook ? codebook_values(tensor.name)
                            : values_of(tensor.name, tensor.shape, tensor.phases);
}

bool CanonicalTensors::is_scale(std::string_view tensor) const {
  if (!tensor.ends_with(kScaleSuffix)) return false;
  const auto scaled = index.find(tensor.substr(0, tensor.size() - kScaleSuffix.size()));
  return scaled != index.end() && entries[scaled->second.entry].dtype == TensorType::kInt8;
}

void CanonicalTensors::check_finite(std::string_view tensor, std::span<const float> values,
                                    std::size_t first) const {
  if (all_finite(values)) return;
  const auto found = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
  const auto place = first + static_cast<std::size_t>(found - values.begin());
  fail(tensor, " holds " + std::to_string(*found) + " as value " + std::to_string(place) +
                   ", expected finite values");
}

std::map<std::string, Shape> CanonicalTensors::shapes() const {
  std::map<std::string, Shape> shapes;
  for (const auto& [tensor, origin] : index) {
    if (tensor.ends_with(kFlagSuffix) || tensor.ends_with(kUsageSuffix) || is_scale(tensor))
      continue;
    Shape shape = entries[origin.entry].shape;
    if (origin.part != TensorPart::kWhole) shape.front() /= 3;
    const bool is_sum = tensor.ends_with(kSumSuffix);
    const std::size_t cut = tensor.size() - (is_sum ? kSumSuffix.size() : 0);
    shapes.emplace(join(tensor.substr(0, cut), is_sum ? kEmbedSuffix : ""), std::move(shape));
  }
  return shapes;
}

}  // namespace mimi
