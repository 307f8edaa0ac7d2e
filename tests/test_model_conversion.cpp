// Converted models: the bits of their originals, one dtype and no other, damage noticed.
#include "core/model_conversion.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "core/config.h"
#include "core/safetensors.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/npy.h"

namespace mimi::test {
namespace {

// Writes `checkpoint` converted to a folder that models are opened from.
void convert_to(const std::filesystem::path& folder, const Checkpoint& checkpoint, Dtype dtype) {
  std::string file;
  convert_model(checkpoint, dtype, [&](std::span<const std::uint8_t> bytes) {
    file.append(bytes.begin(), bytes.end());
  });
  write_file(folder / "config.json", config_json(checkpoint.config()));
  write_file(folder / "model.safetensors", file);
}

struct Output {
  std::vector<std::uint16_t> codes;
  std::vector<float> audio;
  bool operator==(const Output&) const = default;
};

Output run(const Model& model) {
  const std::vector<float> speech = read_npy<float>(data_path("speech.npy")).values;
  Output output;
  Encoder encoder(model, {.levels = 6, .stream = {}});
  encoder.push(speech, output.codes);
  encoder.finish(output.codes);
  Decoder(model, {.levels = first_levels(6), .stream = {}}).push(output.codes, output.audio);
  return output;
}

TEST_CASE("a converted model is computed in its dtype alone, to the bits of its original") {
  for (const char* name : {"tiny-hf", "tiny-hf-bf16", "tiny-kyutai"}) {
    CAPTURE(std::string(name));
    const std::string original = (test_models() / name).string();
    for (const Dtype dtype : {Dtype::kBf16, Dtype::kInt8}) {
      CAPTURE(std::string(dtype_name(dtype)));
      const TempDir folder;
      convert_to(folder.path(), Checkpoint::open(original), dtype);
      const Model converted = Model::open(folder.path().string());
      const Model expected = Model::open(original, {.dtype = dtype});
      CHECK(converted.info().dtype == dtype);
      CHECK(converted.info().fingerprint == expected.info().fingerprint);
      CHECK(converted.info().parameters == expected.info().parameters);
      CHECK(run(converted) == run(expected));

      const std::string file = folder / "model.safetensors";
      const std::string made = std::string(dtype_name(dtype));
      CHECK(error_of([&] { Model::open(folder.path().string(), {.dtype = Dtype::kF32}); }) ==
            file + ": was converted to " + made + " and is computed in that alone, not in f32");
      CHECK(error_of([&] {
              convert_to(folder.path(), Checkpoint::open(folder.path().string()), dtype);
            }) == file + ": was converted to " + made + " already");
    }
  }
}

// Every canonical tensor's checksum is in that of the file.
TEST_CASE("a converted model whose weights changed is damaged") {
  const TempDir folder;
  convert_to(folder.path(), Checkpoint::open((test_models() / "tiny-hf").string()), Dtype::kInt8);
  const std::string path = folder / "model.safetensors";
  const std::string whole = read_file(path);
  std::string changed = whole;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  write_file(path, changed);
  CHECK(error_of([&] { Model::open(folder.path().string()); }) ==
        path + ": its weights are not those that were written: damaged");
}

TEST_CASE("what would not be finite when it is read again is not converted") {
  const std::string folder = (test_models() / "tiny-hf").string();
  std::string file = read_file(folder + "/model.safetensors");
  const std::string name = "encoder_transformer.layers.0.mlp.fc1.weight";
  for (const TensorEntry& entry : parse_safetensors(as_bytes(file), "made")) {
    if (entry.name != name) continue;
    const float most = std::numeric_limits<float>::max();
    const auto place = reinterpret_cast<const char*>(entry.data.data()) - file.data();
    std::memcpy(file.data() + place, &most, sizeof most);
  }
  const Checkpoint checkpoint =
      Checkpoint::from_memory(as_bytes(file), read_file(folder + "/config.json"), "made");
  const TempDir converted;
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kInt8}) {
    CHECK(error_of([&] { convert_to(converted.path(), checkpoint, dtype); }) ==
          "made: tensor '" + name + "' holds values too large to convert");
  }
}

TEST_CASE("what a converted file lacks is named") {
  const TempDir folder;
  convert_to(folder.path(), Checkpoint::open((test_models() / "tiny-hf").string()), Dtype::kInt8);
  const std::string path = folder / "model.safetensors";
  const std::string whole = read_file(path);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = whole;
    const std::size_t place = changed.find(from);
    REQUIRE(place != std::string::npos);
    REQUIRE(from.size() == to.size());
    changed.replace(place, from.size(), to);
    write_file(path, changed);
    return error_of([&] { Model::open(folder.path().string()); });
  };
  CHECK(with("mimi.dtype", "mimi.dtypo") == path + ": metadata 'mimi.dtype' is missing");
  CHECK(with("mimi.checksum", "mimi.checksun") == path + ": metadata 'mimi.checksum' is missing");
  CHECK(with("\"int8\"", "\"int9\"") ==
        path + ": metadata 'mimi.dtype' is 'int9', expected 'bf16' or 'int8'");
  const std::size_t sum = whole.find("\"mimi.checksum\":\"") + 17;
  CHECK(with(whole.substr(sum, 8), "0x123456") ==
        path + ": metadata 'mimi.checksum' is '0x123456', expected 8 hex digits");
  CHECK(with("encoder.layers.1.block.1.conv.weight_scale",
             "encoder.layers.1.block.1.conv.weight_scall") ==
        path +
            ": tensor 'encoder.layers.1.block.1.conv.weight' is I8, but "
            "'encoder.layers.1.block.1.conv.weight_scale' is missing");
}

}  // namespace
}  // namespace mimi::test
