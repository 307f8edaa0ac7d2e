#include "core/model_conversion.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/crc32c.h"
#include "core/error.h"
#include "core/model.h"
#include "core/quote.h"
#include "kernels/dispatch.h"
#include "kernels/float_mode.h"
#include "kernels/low_precision.h"

namespace mimi {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Shape = std::vector<std::int64_t>;

// A tensor of the file; scaled ones come as two.
struct StoredTensor {
  std::string name;
  std::string dtype;
  Shape shape;
  Bytes data;
};

template <typename T>
void append(const T& value, Bytes& out) {
  const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

bool is_bf16(float x) { return (std::bit_cast<std::uint32_t>(x) & 0xFFFF) == 0; }

// Which scale of a weight value `i` has, and how many there are.
struct ScalePlaces {
  explicit ScalePlaces(const TensorSpec& tensor)
      : phases(std::max(tensor.phases, 1)),
        columns(tensor.phases > 0 ? tensor.shape[1] : tensor.shape[0]),
        run(tensor.phases > 0 ? tensor.shape[2] : tensor.values() / tensor.shape[0]) {}

  std::size_t of(std::size_t i) const {
    const auto value = static_cast<std::int64_t>(i);
    return static_cast<std::size_t>(value / run % columns * phases + value % run % phases);
  }
  Shape shape() const { return phases > 1 ? Shape{columns, phases} : Shape{columns}; }

  std::int64_t phases, columns;
  std::int64_t run;  // values in a row that are of one column
};

std::vector<StoredTensor> store_f32(const TensorSpec& tensor, std::span<const float> values) {
  StoredTensor stored = {tensor.canonical_name(), "F32", tensor.shape, {}};
  stored.data.resize(values.size_bytes());
  std::memcpy(stored.data.data(), values.data(), values.size_bytes());
  return {std::move(stored)};
}

[[noreturn]] void refuse(const std::string& source, const TensorSpec& tensor) {
  throw Error(source + ": tensor " + quote(tensor.canonical_name()) +
              " holds values too large to convert");
}

// `values` become what is stored.
std::vector<StoredTensor> store_bf16(const std::string& source, const TensorSpec& tensor,
                                     std::span<float> values) {
  StoredTensor stored = {tensor.canonical_name(), "BF16", tensor.shape, {}};
  for (float& x : values) {
    const std::uint16_t half = kernels::bf16_bits(x);
    append(half, stored.data);
    x = std::bit_cast<float>(std::uint32_t{half} << 16);
    if (!std::isfinite(x)) refuse(source, tensor);
  }
  return {std::move(stored)};
}

std::vector<StoredTensor> store_int8(const std::string& source, const TensorSpec& tensor,
                                     std::span<const float> values) {
  const ScalePlaces places(tensor);
  std::vector<float> scales(static_cast<std::size_t>(places.columns * places.phases));
  for (std::size_t i = 0; i < values.size(); ++i) {
    float& largest = scales[places.of(i)];
    largest = std::max(largest, std::abs(values[i]));
  }
  std::vector<StoredTensor> stored = {{tensor.canonical_name(), "I8", tensor.shape, {}},
                                      {tensor.name + "_scale", "F32", places.shape(), {}}};
  for (float& scale : scales) {
    scale = kernels::int8_scale(scale);
    if (!std::isfinite(127 * scale)) refuse(source, tensor);  // no reader would take that
    append(scale, stored[1].data);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int32_t value = kernels::int8_value(values[i], scales[places.of(i)]);
    append(static_cast<std::int8_t>(value), stored[0].data);
  }
  return stored;
}

struct Converted {
  std::vector<StoredTensor> stored;
  std::uint32_t checksum;  // as in Checkpoint::fingerprint()
};

Converted convert(const Checkpoint& checkpoint, const TensorSpec& tensor) {
  const Floats read = checkpoint.read(tensor);
  std::vector<float> values(read.view().begin(), read.view().end());
  checkpoint.release(tensor);
  std::vector<StoredTensor> stored;
  if (tensor.dtype == kernels::Dtype::kInt8) {
    stored = store_int8(checkpoint.source(), tensor, values);
    std::uint32_t checksum = 0;
    for (const StoredTensor& s : stored)
      checksum = crc32c(checksum, std::as_bytes(std::span(s.data)));
    return {std::move(stored), checksum};
  }
  if (tensor.dtype == kernels::Dtype::kBf16 || std::ranges::all_of(values, is_bf16)) {
    stored = store_bf16(checkpoint.source(), tensor, values);
  } else {
    stored = store_f32(tensor, values);
  }
  return {std::move(stored), crc32c(0, std::as_bytes(std::span<const float>(values)))};
}

std::string hex(std::uint32_t number) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", number);
  return digits;
}

// The header says where each tensor is before any is written, so all are made twice.
std::string header_text(const Checkpoint& checkpoint, Dtype dtype,
                        std::span<const TensorSpec> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = nlohmann::json::object();
  std::vector<TensorChecksum> checksums;
  std::size_t place = 0;
  for (const TensorSpec& tensor : tensors) {
    const Converted converted = convert(checkpoint, tensor);
    checksums.push_back({tensor.canonical_name(), tensor.shape, converted.checksum});
    for (const StoredTensor& stored : converted.stored) {
      const std::size_t end = place + stored.data.size();
      header[stored.name] = {
          {"dtype", stored.dtype}, {"shape", stored.shape}, {"data_offsets", {place, end}}};
      place = end;
    }
  }
  std::ranges::sort(checksums, {}, &TensorChecksum::name);
  header["__metadata__"] = {
      {"format", "pt"},
      {"mimi.checksum", hex(model_fingerprint(checkpoint.config(), checksums))},
      {"mimi.dtype", dtype_name(dtype)},
      {"mimi.fingerprint", hex(checkpoint.fingerprint())}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the first tensor is aligned
  return text;
}

// What a model in that dtype reads: those of float32 first, so that they stay aligned.
std::vector<TensorSpec> tensors_of_model(const Checkpoint& checkpoint, Dtype dtype) {
  WeightReader reader({&kernels::select("portable"), kernels_dtype(dtype)}, checkpoint);
  const Model::Impl model(reader, {});
  std::vector<TensorSpec> tensors = reader.tensors();
  std::ranges::stable_sort(tensors, {}, &TensorSpec::dtype);
  return tensors;
}

}  // namespace

void convert_model(const Checkpoint& checkpoint, Dtype dtype,
                   const std::function<void(std::span<const std::uint8_t>)>& write) {
  const kernels::ScopedFloatMode mode;
  if (dtype == Dtype::kF32) throw Error("converting to f32 changes nothing");
  if (checkpoint.conversion()) {
    throw Error(checkpoint.source() + ": was converted to " + checkpoint.conversion()->dtype +
                " already");
  }
  const std::vector<TensorSpec> tensors = tensors_of_model(checkpoint, dtype);
  const std::string header = header_text(checkpoint, dtype, tensors);
  checkpoint.expect_all_used();
  Bytes bytes;
  append(std::uint64_t{header.size()}, bytes);
  bytes.insert(bytes.end(), header.begin(), header.end());
  write(bytes);
  for (const TensorSpec& tensor : tensors) {
    for (const StoredTensor& stored : convert(checkpoint, tensor).stored) write(stored.data);
  }
}

}  // namespace mimi
