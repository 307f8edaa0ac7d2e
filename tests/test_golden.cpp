// Every stage of a tiny made-up model against the specification's float64 answers
// (tests/reference/mimi_ref.py), stored in tests/data/tiny.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/codec.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/npy.h"

namespace mimi::test {
namespace {

constexpr int kLevels = 6;
constexpr std::string_view kAfterElu = "+elu";

struct Stage {
  std::size_t channels = 0;
  std::vector<float> values;  // [rows x channels]
};
using Stages = std::map<std::string, Stage, std::less<>>;

// Collects what a stream's stages report, block after block.
Tap collect(Stages& stages) {
  return [&stages](std::string_view name, const float* data, int rows, int channels,
                   std::ptrdiff_t stride) {
    Stage& stage = stages[std::string(name)];
    stage.channels = static_cast<std::size_t>(channels);
    for (int t = 0; t < rows; ++t, data += stride) {
      stage.values.insert(stage.values.end(), data, data + channels);
    }
  };
}

NpyArray<float> golden(const std::string& name) {
  return read_npy<float>(data_path("tiny/" + name + ".npy"));
}

std::vector<std::uint16_t> golden_codes(int levels = kLevels) {
  return read_golden_codes("tiny/codes.npy", levels);
}

// The stage of the specification that a tapped one must equal, its ELU included.
NpyArray<float> golden_stage(const std::string& side, std::string_view tapped) {
  const bool after_elu = tapped.ends_with(kAfterElu);
  if (after_elu) tapped.remove_suffix(kAfterElu.size());
  NpyArray<float> expected = golden(side + "." + std::string(tapped));
  for (float& x : expected.values) {
    if (after_elu && x <= 0) x = std::expm1(x);
  }
  return expected;
}

// Of the stage's rms, for the worst of up to 240,000 values: 170 units of float32's rounding error
// of 2^-24, which some twenty layers of up to 384 rounded products each leave (measured: up to 83).
constexpr double kTolerance = 1e-5;

void check_stages(const std::string& side, const std::set<std::string>& names,
                  const Stages& stages) {
  std::set<std::string> tapped;
  for (const auto& entry : stages) {
    const std::string& name = entry.first;
    const Stage& stage = entry.second;
    CAPTURE(name);
    tapped.insert(name);
    const NpyArray<float> expected = golden_stage(side, name);
    REQUIRE(expected.shape == std::vector{stage.values.size() / stage.channels, stage.channels});
    const double error = largest_difference(stage.values, expected.values);
    CHECK(error <= kTolerance * rms(expected.values));
  }
  CHECK(tapped == names);
}

TEST_CASE("every stage of the encoder is the specification's") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  Stages stages;
  Encoder encoder(model, {.levels = kLevels, .stream = {.tap = collect(stages)}});
  std::vector<std::uint16_t> codes;
  encoder.push(golden("audio").values, codes);
  encoder.finish(codes);
  check_stages("encode",
               {"encoder.0", "encoder.3", "encoder.6", "encoder.9", "encoder.12+elu", "encoder.14",
                "encoder_transformer.0", "encoder_transformer.1", "downsample"},
               stages);
  CHECK(codes == golden_codes());
}

TEST_CASE("every stage of the decoder is the specification's") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  Stages stages;
  Decoder decoder(model, {.levels = first_levels(kLevels), .stream = {.tap = collect(stages)}});
  std::vector<float> audio;
  decoder.push(golden_codes(), audio);
  check_stages(
      "decode",
      {"dequantized", "upsample", "decoder_transformer.0", "decoder_transformer.1", "decoder.0+elu",
       "decoder.3+elu", "decoder.6+elu", "decoder.9+elu", "decoder.12+elu"},
      stages);
  const NpyArray<float> expected = golden("decoded");
  REQUIRE(audio.size() == expected.values.size());
  CHECK(largest_difference(audio, expected.values) <= kTolerance * rms(expected.values));
}

TEST_CASE("fewer levels are the first of all levels") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  for (int levels = 1; levels < kLevels; ++levels) {
    CAPTURE(levels);
    Encoder encoder(model, {.levels = levels, .stream = {}});
    std::vector<std::uint16_t> codes;
    encoder.push(golden("audio").values, codes);
    encoder.finish(codes);
    CHECK(codes == golden_codes(levels));
  }
}

// What the quantiser makes of some of the levels, [frames x hidden].
std::vector<float> dequantized(const Model& model, const std::vector<int>& levels) {
  std::vector<std::uint16_t> codes;
  const auto all = golden_codes();
  for (std::size_t frame = 0; frame < all.size(); frame += kLevels) {
    for (const int level : levels) codes.push_back(all[frame + static_cast<std::size_t>(level)]);
  }
  Stages stages;
  Decoder decoder(model, {.levels = levels, .stream = {.tap = collect(stages)}});
  std::vector<float> audio;
  decoder.push(codes, audio);
  CHECK(audio.size() == golden("decoded").values.size());
  return stages.at("dequantized").values;
}

std::vector<float> sum(std::vector<float> a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

TEST_CASE("the levels, each decoded alone, add up to the specification's sum") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  const auto expected = golden("decode.dequantized").values;
  std::vector<float> total(expected.size());
  for (int level = 0; level < kLevels; ++level) total = sum(total, dequantized(model, {level}));
  CHECK(largest_difference(total, expected) <= kTolerance * rms(expected));
  // The semantic and the acoustic levels meet in one rounded addition.
  CHECK(dequantized(model, {0, 2, 5}) == sum(dequantized(model, {0}), dequantized(model, {2, 5})));
}

}  // namespace
}  // namespace mimi::test
