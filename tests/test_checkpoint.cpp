#include "core/checkpoint.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "core/mapped_file.h"
#include "core/quote.h"
#include "core/safetensors.h"
#include "tests/files.h"

namespace mimi::test {

namespace {

using Tensors = std::map<std::string, TestTensor>;

const std::string kFirst = "encoder.layers.0.conv.weight";
const std::string kCodebook = "quantizer.semantic_residual_vector_quantizer.layers.0.codebook";

std::string model(const char* name) { return (test_models() / name).string(); }

Tensors read_tensors(const std::string& path) {
  const MappedFile file(path);
  Tensors tensors;
  for (const TensorEntry& entry : parse_safetensors(file.bytes(), path)) {
    const auto* const data = reinterpret_cast<const char*>(entry.data.data());
    tensors[entry.name] = {entry.dtype_name, shape_text(entry.shape), {data, entry.data.size()}};
  }
  return tensors;
}

Tensors tiny() { return read_tensors(model("tiny-hf") + "/model.safetensors"); }
Tensors tiny_kyutai() { return read_tensors(model("tiny-kyutai") + "/tokenizer.safetensors"); }
std::string tiny_config() { return read_file(model("tiny-hf") + "/config.json"); }

std::vector<float> values_of(const TestTensor& tensor) {
  std::vector<float> values(tensor.data.size() / sizeof(float));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

void rename(Tensors& tensors, const std::string& from, const std::string& to) {
  auto node = tensors.extract(from);
  REQUIRE(!node.empty());
  node.key() = to;
  tensors.insert(std::move(node));
}

// What the codec reads of a file in Hugging Face's layout.
std::vector<TensorSpec> readings(const std::string& path) {
  const MappedFile file(path);
  std::vector<TensorSpec> list;
  for (const TensorEntry& entry : parse_safetensors(file.bytes(), path)) {
    const std::size_t part = entry.name.find(".codebook.");
    if (part == std::string::npos) {
      list.push_back({.name = entry.name, .shape = entry.shape, .phases = TensorSpec::kAnyPhases});
    }
    if (entry.name.ends_with(".embed_sum")) {
      list.push_back({entry.name.substr(0, part) + ".codebook", entry.shape, true});
    }
  }
  return list;
}

const TensorSpec kEntries = {kCodebook, {64, 8}, /*is_codebook=*/true};

bool same_bits(const Floats& a, const Floats& b) {
  return std::ranges::equal(std::as_bytes(a.view()), std::as_bytes(b.view()));
}

// The tiny model's tensors, changed, in a file's bytes.
class Made {
 public:
  explicit Made(const Tensors& tensors) : file_(safetensors(tensors)) {}
  Checkpoint open() const {
    return Checkpoint::from_memory(as_bytes(file_), tiny_config(), "made");
  }
  // The error of reading everything that the unchanged model has.
  std::string error() const {
    return error_of([&] {
      const Checkpoint checkpoint = open();
      for (const TensorSpec& reading : readings(model("tiny-hf") + "/model.safetensors")) {
        checkpoint.read(reading);
      }
      checkpoint.expect_all_used();
    });
  }

 private:
  std::string file_;
};

// The same in a file, for Kyutai's layout.
std::uint32_t fingerprint_of(const Tensors& tensors) {
  const TempDir folder;
  write_file(folder / "f.safetensors", safetensors(tensors));
  return Checkpoint::open(folder / "f.safetensors").fingerprint();
}

std::string open_error(const Tensors& tensors) {
  const TempDir folder;
  const std::string path = folder / "f.safetensors";
  write_file(path, safetensors(tensors));
  const std::string message = error_of([&] { Checkpoint::open(path); });
  return message.starts_with(path) ? "f" + message.substr(path.size()) : message;
}

}  // namespace

TEST_CASE("both layouts of the full model are the same model") {
  const Checkpoint ours = Checkpoint::open(model("full-hf"));
  const Checkpoint theirs = Checkpoint::open(model("full-kyutai") + "/tokenizer.safetensors");
  CHECK(config_text(ours.config()) == config_text(Config()));
  CHECK(config_text(theirs.config()) == config_text(Config()));
  const std::vector<TensorSpec> all = readings(model("full-hf") + "/model.safetensors");
  CHECK(all.size() == 286);
  for (const TensorSpec& reading : all) {
    CHECK_MESSAGE(same_bits(ours.read(reading), theirs.read(reading)), reading.name);
  }
  CHECK_NOTHROW(ours.expect_all_used());
  CHECK_NOTHROW(theirs.expect_all_used());
  CHECK(ours.fingerprint() == theirs.fingerprint());
  CHECK(ours.parameters() == theirs.parameters());
  CHECK(ours.name() == "full-hf");
  CHECK(theirs.name() == "tokenizer.safetensors");
}

// The expected values were computed in NumPy from the text that checkpoint.h specifies.
TEST_CASE("the fingerprint is what its specification says") {
  CHECK(Checkpoint::open(model("tiny-hf")).fingerprint() == 0x2db1a2a0);
  CHECK(Checkpoint::open(model("tiny-hf-bf16")).fingerprint() == 0x48a869d1);
  CHECK(Checkpoint::open(model("tiny-hf")).parameters() == 149'173);
}

TEST_CASE("the fingerprint does not depend on what was read before, nor by how many threads") {
  const Checkpoint checkpoint = Checkpoint::open(model("tiny-hf"));
  const std::vector<TensorSpec> all = readings(model("tiny-hf") + "/model.safetensors");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const TensorSpec& reading : all) checkpoint.read(reading);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(checkpoint.fingerprint() == 0x2db1a2a0);
  CHECK_NOTHROW(checkpoint.expect_all_used());
}

TEST_CASE("each value that decides results changes the fingerprint") {
  const std::string weights = read_file(model("tiny-hf") + "/model.safetensors");
  const auto fingerprint = [&](std::string_view from, std::string_view to) {
    std::string config = tiny_config();
    const std::size_t place = config.find(from);
    REQUIRE(place != std::string::npos);
    config.replace(place, from.size(), to);
    return Checkpoint::from_memory(as_bytes(weights), config, "made").fingerprint();
  };
  CHECK(fingerprint("\"compress\"", "\"compress\"") == 0x2db1a2a0);
  CHECK(fingerprint("\"norm_eps\": 1e-05", "\"norm_eps\": 1e-06") != 0x2db1a2a0);
  CHECK(fingerprint("\"sliding_window\": 10", "\"sliding_window\": 11") != 0x2db1a2a0);
  CHECK(fingerprint("10000.0", "10001.0") != 0x2db1a2a0);
  Tensors tensors = tiny();
  tensors[kFirst].data[0] ^= 1;
  CHECK(Made(tensors).open().fingerprint() != 0x2db1a2a0);
}

TEST_CASE("a file of bf16 or f16 is the model of its values widened") {
  for (const TensorType dtype : {TensorType::kBF16, TensorType::kF16}) {
    Tensors halves = read_tensors(model("tiny-hf-bf16") + "/model.safetensors");
    Tensors wide = halves;
    for (auto& [name, tensor] : wide) {
      // Taken as f16, the bits of a moderate bf16 are another finite value.
      halves[name].dtype = dtype == TensorType::kBF16 ? "BF16" : "F16";
      std::vector<float> values(tensor.data.size() / sizeof(std::uint16_t));
      widen(as_bytes(halves[name].data), dtype, values);
      tensor.dtype = "F32";
      tensor.data = bytes_of(values);
    }
    const std::uint32_t expected = Made(wide).open().fingerprint();
    CHECK(Made(halves).open().fingerprint() == expected);
    CHECK((expected == 0x48a869d1) == (dtype == TensorType::kBF16));
  }
}

TEST_CASE("bytes are times the scales of their columns") {
  const std::string transposed = "decoder.layers.2.conv.weight";
  const TensorSpec first = {kFirst, {4, 1, 7}},
                   phased = {.name = transposed, .shape = {64, 32, 16}, .phases = 2};
  constexpr std::size_t kRun = 16, kPhases = 2, kColumns = 32;
  Tensors tensors = tiny();
  std::string bytes(64 * kColumns * kRun, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37 % 255 - 127);
  const auto value = [&](std::size_t i) {
    return static_cast<float>(static_cast<std::int8_t>(bytes[i]));
  };
  std::vector<float> scales(kColumns * kPhases);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i + 1) / 64;
  tensors[kFirst] = {"I8", "[4,1,7]", bytes.substr(0, 28)};
  tensors[kFirst + "_scale"] = {"F32", "[4]", bytes_of(scales).substr(0, 16)};
  REQUIRE(tensors[transposed].shape == "[64,32,16]");
  tensors[transposed] = {"I8", "[64,32,16]", bytes};
  tensors[transposed + "_scale"] = {"F32", "[32,2]", bytes_of(scales)};
  const Made made(tensors);
  CHECK(made.error() == "no error");
  const Checkpoint checkpoint = made.open();
  const Floats plain = checkpoint.read(first), phases = checkpoint.read(phased);
  for (std::size_t i = 0; i < 28; ++i) REQUIRE(plain.view()[i] == value(i) * scales[i / 7]);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t column = i / kRun % kColumns;
    REQUIRE(phases.view()[i] == value(i) * scales[column * kPhases + i % kPhases]);
  }

  tensors[kFirst + "_scale"].shape = "[2,2]";
  CHECK(Made(tensors).error() ==
        "made: tensor '" + kFirst + "_scale' is F32 [2,2], which are not the scales of I8 [4,1,7]");
  scales[3] = 3e36F;
  tensors[kFirst + "_scale"] = {"F32", "[4]", bytes_of(scales).substr(0, 16)};
  CHECK(Made(tensors).error().ends_with(", which makes values that are not finite"));
}

TEST_CASE("bytes and scales are held to what a layer reads") {
  const std::string transposed = "decoder.layers.2.conv.weight";
  const TensorSpec plain = {kFirst, {4, 1, 7}},
                   phased = {.name = transposed, .shape = {64, 32, 16}, .phases = 8};
  const auto error = [&](const char* shape, std::size_t scales, const TensorSpec& reading) {
    Tensors tensors = tiny();
    const std::vector<float> ones(scales, 1.0F);
    const std::string& own = tensors[reading.name].shape;
    tensors[reading.name] = {"I8", own, std::string(reading.name == kFirst ? 28 : 64 * 32 * 16, 1)};
    tensors[reading.name + "_scale"] = {"F32", shape, bytes_of(ones)};
    const Made made(tensors);
    return error_of([&] { made.open().read_weights(reading); });
  };
  CHECK(error("[32,8]", 256, phased) == "no error");
  const std::map<std::string, std::size_t> others = {
      {"[32]", 32}, {"[64]", 64}, {"[32,2]", 64}, {"[32,16]", 512}, {"[64,8]", 512}};
  for (const auto& other : others) {
    CAPTURE(other.first);
    CHECK(error(other.first.c_str(), other.second, phased) ==
          "made: tensor '" + transposed + "_scale' is F32 " + other.first +
              ", which are not the scales of I8 [64,32,16]");
  }
  CHECK(error("[4]", 4, plain) == "no error");
  CHECK(error("[1]", 1, plain) != "no error");
  CHECK(error("[1,7]", 7, plain) != "no error");
  Tensors tensors = tiny();
  tensors[kFirst] = {"I8", "[4,1,7]", std::string(27, 1) + "\x80"};
  tensors[kFirst + "_scale"] = {"F32", "[4]", bytes_of(std::vector<float>(4, 1.0F))};
  CHECK(Made(tensors).error() == "made: tensor '" + kFirst + "' holds -128, expected -127 to 127");
}

TEST_CASE("codebooks are sums divided by uses, or given as they are") {
  Tensors tensors = tiny();
  std::vector<float> usage = values_of(tensors[kCodebook + ".cluster_usage"]);
  usage[1] = 0;
  tensors[kCodebook + ".cluster_usage"].data = bytes_of(usage);
  const std::vector<float> sums = values_of(tensors[kCodebook + ".embed_sum"]);
  const Made divided(tensors);
  const Checkpoint checkpoint = divided.open();
  const Floats entries = checkpoint.read(kEntries);
  REQUIRE(entries.view().size() == 64 * 8);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const float divisor = i / 8 == 1 ? 1e-5F : usage[i / 8];
    CHECK(entries.view()[i] == sums[i] / divisor);
  }

  tensors.erase(kCodebook + ".cluster_usage");
  tensors.erase(kCodebook + ".initialized");
  tensors.erase(kCodebook + ".embed_sum");
  const std::vector<float> given(entries.view().begin(), entries.view().end());
  tensors[kCodebook + ".embed"] = {"F32", "[64,8]", bytes_of(given)};
  const Made direct(tensors);
  CHECK(same_bits(direct.open().read(kEntries), entries));
  CHECK(direct.open().fingerprint() == checkpoint.fingerprint());
  CHECK(direct.open().parameters() == checkpoint.parameters());
  CHECK(direct.error() == "no error");
}

TEST_CASE("Kyutai's dimensions follow from the shapes, its constants are Mimi's") {
  const Checkpoint checkpoint = Checkpoint::open(model("tiny-kyutai"));
  Config expected = Checkpoint::open(model("tiny-hf")).config();
  expected.num_attention_heads = 8;
  expected.sliding_window = 250;
  CHECK(config_text(checkpoint.config()) == config_text(expected));
  const Floats value =
      checkpoint.read({"encoder_transformer.layers.1.self_attn.v_proj.weight", {32, 32}});
  CHECK(same_bits(value,
                  Checkpoint::open(model("tiny-hf"))
                      .read({"encoder_transformer.layers.1.self_attn.v_proj.weight", {32, 32}})));
}

TEST_CASE("both generations of Kyutai's names are the same model") {
  Tensors tensors = tiny_kyutai();
  const std::uint32_t expected = fingerprint_of(tensors);
  for (const char* const transformer : {"encoder_transformer", "decoder_transformer"}) {
    for (const char* const layer : {"0", "1"}) {
      const std::string attention =
          std::string(transformer) + ".transformer.layers." + layer + ".self_attn.";
      rename(tensors, attention + "in_proj_weight", attention + "in_projs.0.weight");
      rename(tensors, attention + "out_proj.weight", attention + "out_projs.0.weight");
    }
  }
  CHECK(fingerprint_of(tensors) == expected);
}

TEST_CASE("a tensor that is not as it must be is named with what was found and expected") {
  const std::string bias = "decoder.layers.0.conv.bias";
  const auto changed = [](const std::string& name, auto&& change) {
    Tensors tensors = tiny();
    REQUIRE(tensors.contains(name));
    change(tensors[name]);
    return Made(tensors).error();
  };
  const auto set_value = [](TestTensor& tensor, std::size_t place, float value) {
    std::vector<float> values = values_of(tensor);
    values[place] = value;
    tensor.data = bytes_of(values);
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();

  CHECK(Made(tiny()).error() == "no error");
  CHECK(changed(kFirst, [](TestTensor& t) { t.shape = "[4,7,1]"; }) ==
        "made: tensor '" + kFirst + "' is [4,7,1], expected [4,1,7]");
  CHECK(changed(kFirst, [](TestTensor& t) { t.shape = "[28]"; }) ==
        "made: tensor '" + kFirst + "' is [28], expected [4,1,7]");
  CHECK(changed(bias, [](TestTensor& t) { t.dtype = "I32"; }) ==
        "made: tensor '" + bias + "' is I32, expected F32, F16 or BF16");
  CHECK(changed(bias, [&](TestTensor& t) { set_value(t, 5, -kInfinity); }) ==
        "made: tensor '" + bias + "' holds -inf as value 5, expected finite values");
  const std::string large = "decoder.layers.0.conv.weight";  // of several blocks
  CHECK(changed(large, [&](TestTensor& t) { set_value(t, 10'000, std::nanf("")); }) ==
        "made: tensor '" + large + "' holds nan as value 10000, expected finite values");
  CHECK(changed(kCodebook + ".cluster_usage", [&](TestTensor& t) { set_value(t, 2, kInfinity); }) ==
        "made: tensor '" + kCodebook +
            ".cluster_usage' holds inf as value 2, expected finite values");
  CHECK(changed(kCodebook + ".embed_sum", [&](TestTensor& t) { set_value(t, 9, kInfinity); }) ==
        "made: tensor '" + kCodebook + ".embed' holds inf as value 9, expected finite values");
  CHECK(changed(kCodebook + ".cluster_usage", [](TestTensor& t) { t.shape = "[64,1]"; }) ==
        "made: tensor '" + kCodebook + ".cluster_usage' is [64,1], expected [64]");
  CHECK(changed(kCodebook + ".initialized", [](TestTensor& t) { t.dtype = "I32"; }) == "no error");
}

TEST_CASE("missing and additional tensors are named") {
  Tensors tensors = tiny();
  rename(tensors, kFirst, "encoder.layers.0.conv.weight_v");
  CHECK(Made(tensors).error() == "made: tensor '" + kFirst + "' is missing, expected [4,1,7]");
  tensors = tiny();
  tensors.erase(kCodebook + ".cluster_usage");
  CHECK(Made(tensors).error() ==
        "made: tensor '" + kCodebook + ".cluster_usage' is missing, expected [64]");
  tensors = tiny();
  const TestTensor more = {"F32", "[1]", std::string(4, '\0')};
  tensors["b"] = more;
  CHECK(Made(tensors).error() == "made: holds what no Mimi of its dimensions has: 'b'");
  tensors["a"] = tensors["d"] = tensors["c"] = tensors["e"] = more;
  CHECK(Made(tensors).error() ==
        "made: holds what no Mimi of its dimensions has: 'a', 'b', 'c' and 2 more");
}

TEST_CASE("a tensor of Kyutai's that is not as it must be is named as in the file") {
  const std::string fused = "encoder_transformer.transformer.layers.0.self_attn.in_proj_weight";
  const std::string last = "encoder.model.14.conv.conv.weight";
  const std::string codebook = "quantizer.rvq_first.vq.layers.0._codebook.embedding_sum";
  const auto changed = [](const std::string& name, const char* shape) {
    Tensors tensors = tiny_kyutai();
    REQUIRE(tensors.contains(name));
    tensors[name].shape = shape;
    return open_error(tensors);
  };
  CHECK(open_error(tiny_kyutai()) == "no error");
  CHECK(changed(fused, "[32,96]") == "f: tensor '" + fused + "' is [32,96], expected [96,32]");
  CHECK(changed(fused, "[3072]") == "f: tensor '" + fused + "' is [3072], expected [96,32]");
  CHECK(changed(last, "[32,192]") == "f: tensor '" + last + "' is [32,192], expected 3 dimensions");
  CHECK(changed(last, "[64,32,3]") ==
        "f: tensor 'decoder_transformer.transformer.layers.0.self_attn.in_proj_weight' is [96,32], "
        "expected [192,64]");
  CHECK(changed(codebook, "[512]") ==
        "f: tensor '" + codebook + "' is [512], expected 2 dimensions");
  CHECK(changed(codebook, "[1,512]") == "f: 'codebook_size' is 1, expected 2 to 65536");
  CHECK(changed("encoder.model.0.conv.conv.weight", "[2,2,7]") ==
        "f: 'audio_channels' is 2, expected 1");

  Tensors tensors = tiny_kyutai();
  tensors.erase(codebook);
  CHECK(open_error(tensors) == "f: tensor '" + kCodebook + ".embed_sum' is missing");
  tensors = tiny_kyutai();
  tensors["encoder.model.0.conv.weight"] = tensors["encoder.model.0.conv.conv.weight"];
  CHECK(open_error(tensors) ==
        "f: tensors 'encoder.model.0.conv.conv.weight' and 'encoder.model.0.conv.weight' are both "
        "'encoder.layers.0.conv.weight'");
  tensors = tiny_kyutai();
  for (const char* const layer : {"3", "6", "9", "12", "14"}) {
    tensors.erase(std::string("encoder.model.") + layer + ".conv.conv.weight");
  }
  CHECK(open_error(tensors) ==
        "f: has 1 encoder convolutions, expected a first, at least one strided and a last");
}

TEST_CASE("what a path must hold") {
  const TempDir folder;
  const auto message = [](const std::string& path) {
    return error_of([&] { Checkpoint::open(path); });
  };
  const std::string weights = folder / "model.safetensors";
  CHECK(message(folder.path()) == folder.path().string() + ": holds no .safetensors file");
  CHECK(message(weights) == weights + ": cannot be opened: No such file or directory");
  write_file(weights, "ID3");
  CHECK(message(weights) == weights + ": is 3 bytes long, too short for a safetensors file");
  write_file(weights, read_file(model("tiny-hf") + "/model.safetensors"));
  CHECK(message(weights) == weights + ": needs " + folder / "config.json" + ", which is not there");
  write_file(folder / "config.json", "{");
  CHECK(message(folder.path()) == folder / "config.json: is not valid JSON at byte 2");
  write_file(folder / "config.json", tiny_config());
  CHECK(Checkpoint::open(weights).fingerprint() == 0x2db1a2a0);
  CHECK(Checkpoint::open(weights).name() == "model.safetensors");
  CHECK(Checkpoint::open(folder.path()).name() == folder.path().filename());
}

TEST_CASE("f32 in a mapped file is not copied") {
  const auto is_copied = [](const Checkpoint& checkpoint) {
    const Floats first = checkpoint.read({kFirst, {4, 1, 7}});
    const Floats second = checkpoint.read({kFirst, {4, 1, 7}});
    return first.view().data() != second.view().data();
  };
  CHECK(!is_copied(Checkpoint::open(model("tiny-hf"))));
  CHECK(is_copied(Checkpoint::open(model("tiny-hf-bf16"))));
}

}  // namespace mimi::test
