// Whole checkpoints of which a few things are otherwise: a dimension of config.json, a tensor's
// name, type, shape or values, what is said of a conversion. A model is opened or refused, and what
// is opened can be used. The checkpoints to begin with are in the folder that MIMI_FUZZ_CHECKPOINTS
// names: small ones in both layouts.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint.h"
#include "core/codec.h"
#include "core/config.h"
#include "core/model_conversion.h"
#include "tests/files.h"
#include "tests/fuzz/surroundings.h"
#include "tests/fuzz/temporary_folder.h"

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostValues = 1 << 16;  // of a tensor
constexpr int kMostFrameSamples = 512;         // of a model that is tried

struct Tensor {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string data;
};

struct Files {
  Json config;  // null: there is none
  Json metadata;
  std::vector<Tensor> tensors;
};

Files read_files(const std::string& safetensors, const std::string& config) {
  Files files;
  if (!config.empty()) files.config = Json::parse(config);
  std::uint64_t size = 0;
  std::copy_n(safetensors.data(), sizeof size, reinterpret_cast<char*>(&size));
  const Json header = Json::parse(safetensors.substr(sizeof size, size));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      files.metadata = entry;
      continue;
    }
    const auto begin = entry["data_offsets"][0].get<std::size_t>();
    const auto end = entry["data_offsets"][1].get<std::size_t>();
    files.tensors.push_back({name, entry["dtype"], entry["shape"],
                             safetensors.substr(sizeof size + size + begin, end - begin)});
  }
  return files;
}

std::string safetensors_of(const Files& files) {
  Json header;
  if (!files.metadata.is_null()) header["__metadata__"] = files.metadata;
  std::string data;
  for (const Tensor& tensor : files.tensors) {
    const std::size_t end = data.size() + tensor.data.size();
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {data.size(), end}}};
    data += tensor.data;
  }
  return mimi::test::safetensors(header.dump(), data);
}

std::string converted(const std::string& folder) {
  std::string file;
  mimi::convert_model(mimi::Checkpoint::open(folder), mimi::Dtype::kInt8,
                      [&file](std::span<const std::uint8_t> bytes) {
                        file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                      });
  return file;
}

// In Hugging Face's layout, in Kyutai's, and converted.
const std::vector<Files>& first_files() {
  static const std::vector<Files> files = [] {
    const std::string hf = checkpoint_folder("hf");
    const std::string config = mimi::test::read_file(hf + "/config.json");
    return std::vector{
        read_files(mimi::test::read_file(hf + "/model.safetensors"), config),
        read_files(mimi::test::read_file(checkpoint_folder("kyutai") + "/tokenizer.safetensors"),
                   ""),
        read_files(converted(hf), config)};
  }();
  return files;
}

std::size_t value_bytes(const std::string& dtype) {
  if (dtype == "F32" || dtype == "I32") return 4;
  if (dtype == "F16" || dtype == "BF16") return 2;
  return dtype == "I8" || dtype == "BOOL" ? 1 : 8;
}

// Makes the data as long as type and shape say; a tensor of too many values goes.
void fit_data(std::vector<Tensor>& tensors, std::size_t place) {
  Tensor& tensor = tensors[place];
  std::int64_t values = 1;
  for (const std::int64_t size : tensor.shape) {
    values *= size;
    if (values > kMostValues) {
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(place));
      return;
    }
  }
  tensor.data.resize(static_cast<std::size_t>(values) * value_bytes(tensor.dtype), '\x3c');
}

Json some_value(FuzzedDataProvider& data) {
  switch (data.ConsumeIntegralInRange(0, 5)) {
    case 0:
      return data.ConsumeIntegralInRange(-1, 33);
    case 1:
      return std::int64_t{1} << data.ConsumeIntegralInRange(0, 62);
    case 2:
      return data.ConsumeIntegral<std::int32_t>();
    case 3:
      return data.ConsumeFloatingPointInRange(-1e9, 1e9);
    case 4:
      return {data.ConsumeIntegralInRange(0, 9), data.ConsumeIntegralInRange(0, 70)};
    default:
      return data.PickValueInArray({Json(), Json(true), Json("x"), Json(1e-300), Json(1e300)});
  }
}

void change_config(Json& config, FuzzedDataProvider& data) {
  if (config.is_null()) return;
  auto key = config.begin();
  std::advance(key, data.ConsumeIntegralInRange<std::size_t>(0, config.size() - 1));
  if (data.ConsumeBool()) {
    key.value() = some_value(data);
  } else if (config.size() > 1) {
    config.erase(key);
  }
}

void change_shape(std::vector<std::int64_t>& shape, FuzzedDataProvider& data) {
  const auto size = data.PickValueInArray<std::int64_t>({0, 1, 2, 3, 4, 8, 16, 24, 32});
  const auto place = data.ConsumeIntegralInRange<std::size_t>(0, shape.size());
  const auto at = shape.begin() + static_cast<std::ptrdiff_t>(place);
  if (place == shape.size()) {
    shape.push_back(size);
  } else if (data.ConsumeBool()) {
    *at = size;
  } else {
    shape.erase(at);
  }
}

void change_value(std::string& values, FuzzedDataProvider& data) {
  if (values.size() < sizeof(float)) return;
  const auto value = data.PickValueInArray<std::uint32_t>(
      {0, 0x80000000, 0x7F800000, 0xFFFFFFFF, 0x7F7FFFFF, 1, 0x00007F7F, 0x42424242});
  const auto place = data.ConsumeIntegralInRange<std::size_t>(0, values.size() - sizeof value);
  std::copy_n(reinterpret_cast<const char*>(&value), sizeof value, values.data() + place);
}

void change_tensor(std::vector<Tensor>& tensors, FuzzedDataProvider& data) {
  const auto some = [&] { return data.ConsumeIntegralInRange<std::size_t>(0, tensors.size() - 1); };
  const std::size_t place = some();
  Tensor& tensor = tensors[place];
  switch (data.ConsumeIntegralInRange(0, 5)) {
    case 0:
      if (tensors.size() > 1) tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(place));
      break;
    case 1:
      tensor.name = tensors[some()].name + data.PickValueInArray({"", "_scale", ".x", "."});
      break;
    case 2:
      tensor.dtype = data.PickValueInArray({"F32", "F16", "BF16", "I8", "I64", "BOOL", "F8"});
      fit_data(tensors, place);
      break;
    case 3:
      change_shape(tensor.shape, data);
      fit_data(tensors, place);
      break;
    case 4:
      std::swap(tensor.name, tensors[some()].name);
      break;
    default:
      change_value(tensor.data, data);
  }
}

void change_metadata(Json& metadata, FuzzedDataProvider& data) {
  const char* const key =
      data.PickValueInArray({"mimi.dtype", "mimi.fingerprint", "mimi.checksum", "mimi.x"});
  metadata[key] = data.PickValueInArray({"int8", "bf16", "f32", "00000000", "0123456", ""});
}

Files some_files(FuzzedDataProvider& data) {
  Files files = first_files()[data.ConsumeIntegralInRange<std::size_t>(0, 2)];
  for (int left = 8; left > 0 && data.remaining_bytes() > 0 && !files.tensors.empty(); --left) {
    switch (data.ConsumeIntegralInRange(0, 4)) {
      case 0:
      case 1:
        change_config(files.config, data);
        break;
      case 2:
        change_metadata(files.metadata, data);
        break;
      default:
        change_tensor(files.tensors, data);
    }
  }
  return files;
}

void use(const mimi::Model& model) {
  const mimi::ModelInfo& info = model.info();
  if (info.frame_samples > kMostFrameSamples) return;
  const auto frame = static_cast<std::size_t>(info.frame_samples);
  std::vector<std::uint16_t> codes;
  mimi::Encoder encoder(model, {.levels = info.levels});
  encoder.push(std::vector<float>(frame + 1, 0.5F), codes);
  encoder.finish(codes);
  if (codes.size() != 2 * static_cast<std::size_t>(info.levels)) std::abort();
  for (const std::uint16_t code : codes) {
    if (code >= info.codebook_size) std::abort();
  }
  std::vector<float> sound;
  mimi::Decoder(model, {.levels = mimi::first_levels(info.levels)}).push(codes, sound);
  if (sound.size() != 2 * frame) std::abort();
}

// The checkpoint in the folder may not be convertible, but what is written must be.
void check_conversion(const TemporaryFolder& folder, const mimi::Model& model) {
  std::string file;
  try {
    file = converted(folder.path());
  } catch (const mimi::Error&) {
    return;
  }
  const TemporaryFolder made;
  made.write("model.safetensors", file);
  made.write("config.json", mimi::config_json(mimi::Checkpoint::open(folder.path()).config()));
  const mimi::Model again = mimi::Model::open(made.path(), {});
  if (again.info().fingerprint != model.info().fingerprint) std::abort();
  use(again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size > 128) return 0;
  FuzzedDataProvider data(bytes, size);
  const Files files = some_files(data);
  static const TemporaryFolder folder;
  folder.write("model.safetensors", safetensors_of(files));
  if (files.config.is_null()) {
    folder.remove("config.json");
  } else {
    folder.write("config.json", files.config.dump());
  }
  std::optional<mimi::Model> model;
  try {
    model = mimi::Model::open(folder.path(), {});
  } catch (const mimi::Error&) {
    return 0;
  }
  use(*model);
  if (!files.metadata.contains("mimi.dtype")) check_conversion(folder, *model);
  return 0;
}
