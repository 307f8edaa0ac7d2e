// A stream that is begun in the middle, early enough, gives the bits of the whole.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/codec.h"
#include "tests/files.h"

namespace mimi::test {
namespace {

constexpr std::int64_t kFrames = 60;

std::vector<float> chirp(std::size_t samples) {
  std::vector<float> sound(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    const auto t = static_cast<float>(i);
    sound[i] = 0.4F * std::sin(0.01F * t + 1e-6F * t * t);
  }
  return sound;
}

struct Stream {
  Stream(const Model& model, Window window)
      : levels(model.info().levels),
        options({.window = window, .tap = [this](auto... stage) { keep(stage...); }}),
        encoder(model, {.levels = levels, .stream = options}),
        decoder(model, {.levels = first_levels(levels), .stream = options}) {}

  void keep(std::string_view stage, const float* data, int rows, int channels,
            std::ptrdiff_t stride) {
    if (stage != "downsample") return;
    for (int row = 0; row < rows; ++row) {
      latents.insert(latents.end(), data + row * stride, data + row * stride + channels);
    }
  }

  // What comes of the sound's frames from `first` on, as if they were its frames from `position`
  // on.
  std::vector<float> latents_from(std::span<const float> sound, std::int64_t first,
                                  std::int64_t position, std::int64_t frame_samples) {
    latents.clear();
    codes.clear();
    encoder.reset(position);
    encoder.push(sound.subspan(static_cast<std::size_t>(first * frame_samples)), codes);
    return latents;
  }
  std::vector<float> audio_from(std::span<const std::uint16_t> whole, std::int64_t first,
                                std::int64_t position) {
    std::vector<float> audio;
    decoder.reset(position);
    decoder.push(whole.subspan(static_cast<std::size_t>(first * levels)), audio);
    return audio;
  }

  int levels;
  StreamOptions options;
  std::vector<float> latents;
  std::vector<std::uint16_t> codes;
  Encoder encoder;
  Decoder decoder;
};

// Whether the last `frames` frames of both are equal, which are all that a stream begun kFrames -
// frames early has.
bool ends_equal(const std::vector<float>& late, const std::vector<float>& whole,
                std::int64_t frames) {
  const auto count = static_cast<std::ptrdiff_t>(whole.size()) / kFrames * frames;
  return std::equal(whole.end() - count, whole.end(), late.end() - count);
}

TEST_CASE("a stream begun the receptive field early gives the bits of the whole, and no later") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  const std::int64_t frame_samples = model.info().frame_samples;
  const std::vector<float> sound = chirp(static_cast<std::size_t>(kFrames * frame_samples));
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    CAPTURE(window_name(window));
    const ReceptiveField field = receptive_field(model, window);
    Stream stream(model, window);
    const std::vector<float> latents = stream.latents_from(sound, 0, 0, frame_samples);
    const std::vector<std::uint16_t> codes = stream.codes;
    const std::vector<float> audio = stream.audio_from(codes, 0, 0);
    constexpr std::int64_t kTail = 17;

    std::int64_t begin = kFrames - kTail - field.encoder_frames;
    REQUIRE(begin > 0);
    CHECK(ends_equal(stream.latents_from(sound, begin, begin, frame_samples), latents, kTail));
    CHECK(std::equal(codes.end() - kTail * stream.levels, codes.end(),
                     stream.codes.end() - kTail * stream.levels));
    CHECK_FALSE(ends_equal(stream.latents_from(sound, begin + 1, begin + 1, frame_samples), latents,
                           kTail));

    begin = kFrames - kTail - field.decoder_frames;
    REQUIRE(begin > 0);
    CHECK(ends_equal(stream.audio_from(codes, begin, begin), audio, kTail));
    CHECK_FALSE(ends_equal(stream.audio_from(codes, begin + 1, begin + 1), audio, kTail));

    // At another position the rotations are others: the check above is not empty.
    CHECK_FALSE(ends_equal(stream.audio_from(codes, begin, 0), audio, kTail));
  }
}

TEST_CASE("a stream cannot begin before its first frame") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  Decoder decoder(model, {.levels = {0}});
  CHECK_THROWS_WITH_AS(decoder.reset(-1), "first frame: found -1, expected 0 to 536870912", Error);
}

}  // namespace
}  // namespace mimi::test
