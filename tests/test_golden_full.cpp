// Codes and audio of a model of the published size, whose weights are made up, against what public
// implementations gave: tests/data/full-codes, full-decoded and windows.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cli/audio_source.h"
#include "core/checkpoint.h"
#include "core/codec.h"
#include "tests/exact_quantizer.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/npy.h"

namespace mimi::test {
namespace {

constexpr int kLevels = 32;
constexpr std::size_t kHidden = 512;
constexpr double kLargestDifference = 1e-4;  // of audio whose rms is about 1

int threads() { return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 4U)); }

std::vector<float> read_audio(const std::filesystem::path& path) {
  const auto source = cli::open_audio_source(path.string(), {});
  REQUIRE(source->rate_hz() == 24000);
  REQUIRE(source->channels() == 1);
  std::vector<float> audio, block(1 << 16);
  while (const std::size_t count = source->read(block)) {
    audio.insert(audio.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return audio;
}

std::filesystem::path clip_path(const std::string& clip) {
  const auto sample = source_dir() / "samples" / (clip + ".flac");
  return std::filesystem::exists(sample) ? sample : data_path("clips/" + clip + ".flac");
}

// Compares codes with golden ones, and has every frame that differs judged in double precision.
class CodeCheck {
 public:
  explicit CodeCheck(const std::filesystem::path& model_path)
      : model_(Model::open(model_path.string())),
        quantizer_(Checkpoint::open(model_path.string())) {}

  const Model& model() const { return model_; }
  std::size_t codes() const { return codes_; }
  int excused_frames() const { return excused_frames_; }

  void check(const std::vector<float>& audio, const std::string& golden, Window window) {
    std::vector<float> latents;  // [frames x hidden]
    const Tap tap = [&](std::string_view stage, const float* data, int rows, int channels,
                        std::ptrdiff_t stride) {
      if (stage != "downsample") return;
      for (int t = 0; t < rows; ++t, data += stride) {
        latents.insert(latents.end(), data, data + channels);
      }
    };
    Encoder encoder(model_, {.levels = kLevels,
                             .stream = {.window = window, .threads = threads(), .tap = tap}});
    std::vector<std::uint16_t> found;
    encoder.push(audio, found);
    encoder.finish(found);
    compare(read_golden_codes(golden, kLevels), found, latents);
  }

 private:
  void compare(std::span<const std::uint16_t> expected, std::span<const std::uint16_t> found,
               std::span<const float> latents) {
    REQUIRE(found.size() == expected.size());
    REQUIRE(latents.size() / kHidden == expected.size() / kLevels);
    codes_ += found.size();
    for (std::size_t t = 0; t < expected.size() / kLevels; ++t) {
      const auto expected_frame = expected.subspan(t * kLevels, kLevels);
      const auto found_frame = found.subspan(t * kLevels, kLevels);
      if (std::ranges::equal(expected_frame, found_frame)) continue;
      const Verdict verdict =
          quantizer_.judge(latents.subspan(t * kHidden, kHidden), expected_frame, found_frame);
      CAPTURE(t);
      MESSAGE(verdict.report);
      CHECK(verdict.excused);
      ++excused_frames_;
    }
  }

  Model model_;
  ExactQuantizer quantizer_;
  std::size_t codes_ = 0;
  int excused_frames_ = 0;
};

void check_clips(const std::filesystem::path& model_path) {
  CodeCheck codes(model_path);
  for (const auto& file : std::filesystem::directory_iterator(data_path("full-codes"))) {
    const std::string clip = file.path().stem();
    CAPTURE(clip);
    codes.check(read_audio(clip_path(clip)), "full-codes/" + clip + ".npy", Window::kOffline);
  }
  CHECK(codes.codes() == 49440);
  CHECK(codes.excused_frames() <= 4);
}

TEST_CASE("codes of 40 clips, Hugging Face's layout") { check_clips(test_models() / "full-hf"); }

TEST_CASE("codes of 40 clips, Kyutai's layout") {
  check_clips(test_models() / "full-kyutai/tokenizer.safetensors");
}

std::vector<float> decode(const Model& model, const std::vector<std::uint16_t>& codes, int levels,
                          Window window) {
  Decoder decoder(model, {.levels = first_levels(levels),
                          .stream = {.window = window, .threads = threads(), .tap = {}}});
  std::vector<float> audio;
  decoder.push(codes, audio);
  return audio;
}

TEST_CASE("decoded audio of 1, 8 and 32 levels") {
  const Model model = Model::open((test_models() / "full-hf").string());
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(data_path("full-decoded"))) {
    const std::string name = file.path().stem();  // "kathleen_04-8"
    CAPTURE(name);
    const std::size_t dash = name.find('-');
    const int levels = std::stoi(name.substr(dash + 1));
    const auto codes = read_golden_codes("full-codes/" + name.substr(0, dash) + ".npy", levels);
    const auto audio = decode(model, codes, levels, Window::kOffline);
    const auto expected = read_npy<float>(file.path()).values;
    REQUIRE(audio.size() == expected.size());
    const double difference = largest_difference(audio, expected);
    MESSAGE(name << ": largest difference " << difference << " of an rms of " << rms(expected));
    CHECK(difference < kLargestDifference);
    ++files;
  }
  CHECK(files == 12);
}

TEST_CASE("codes and audio beyond 10 s under each window rule") {
  CodeCheck codes(test_models() / "full-hf");
  const auto audio = read_audio(data_path("windows/long.flac"));
  const auto offline = read_golden_codes("windows/offline.npy", kLevels);
  std::set<std::vector<float>> tails;
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    const std::string rule(window_name(window));
    CAPTURE(rule);
    codes.check(audio, "windows/" + rule + ".npy", window);

    const auto decoded = decode(codes.model(), offline, kLevels, window);
    const auto expected = read_npy<float>(data_path("windows/" + rule + "-decoded-tail.npy"));
    REQUIRE(decoded.size() > expected.values.size());
    const auto tail = std::span(decoded).last(expected.values.size());
    const double difference = largest_difference(tail, expected.values);
    MESSAGE(rule << ": largest difference " << difference);
    CHECK(difference < kLargestDifference);
    tails.insert(expected.values);
  }
  CHECK(codes.excused_frames() <= 4);
  CHECK(tails.size() == 3);  // the rules do differ here
}

}  // namespace
}  // namespace mimi::test
