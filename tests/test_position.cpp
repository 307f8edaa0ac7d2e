// A stream that is begun in the middle, early enough, gives the bits of the whole.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/codec.h"
#include "tests/files.h"

namespace mimi::test {
namespace {

// tiny-hf attends to at most 11 steps in each of 2 layers: 20 steps before the first; 8 more for
// the convolutions around them, and some that those need.
constexpr int kReceptiveFrames = 16;
constexpr int kFrames = 60;
constexpr int kStart = 43;

std::vector<float> chirp(std::size_t samples) {
  std::vector<float> sound(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    const auto t = static_cast<float>(i);
    sound[i] = 0.4F * std::sin(0.01F * t + 1e-6F * t * t);
  }
  return sound;
}

TEST_CASE("a stream begun early enough gives the bits of the whole") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  const auto frame = static_cast<std::size_t>(model.info().frame_samples);
  const auto levels = static_cast<std::size_t>(model.info().levels);
  const std::vector<float> sound = chirp(kFrames * frame);
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    CAPTURE(window_name(window));
    const StreamOptions stream = {.window = window};
    Encoder encoder(model, {.levels = static_cast<int>(levels), .stream = stream});
    Decoder decoder(model, {.levels = first_levels(static_cast<int>(levels)), .stream = stream});
    std::vector<std::uint16_t> codes, late_codes;
    std::vector<float> audio, late_audio;
    encoder.push(sound, codes);
    decoder.push(codes, audio);

    constexpr std::size_t kBegin = kStart - kReceptiveFrames;
    encoder.reset(kBegin);
    encoder.push(std::span(sound).subspan(kBegin * frame), late_codes);
    decoder.reset(kBegin);
    decoder.push(std::span(codes).subspan(kBegin * levels), late_audio);

    const auto tail = [](const auto& all, std::size_t count) {
      return std::vector(all.end() - static_cast<std::ptrdiff_t>(count), all.end());
    };
    constexpr std::size_t kTail = kFrames - kStart;
    CHECK(tail(late_codes, kTail * levels) == tail(codes, kTail * levels));
    CHECK(tail(late_audio, kTail * frame) == tail(audio, kTail * frame));

    // At another position the rotations are others: the check above is not empty.
    decoder.reset(0);
    late_audio.clear();
    decoder.push(std::span(codes).subspan(kBegin * levels), late_audio);
    CHECK(tail(late_audio, kTail * frame) != tail(audio, kTail * frame));
  }
}

TEST_CASE("a stream cannot begin before its first frame") {
  const Model model = Model::open((test_models() / "tiny-hf").string());
  Decoder decoder(model, {.levels = {0}});
  CHECK_THROWS_WITH_AS(decoder.reset(-1), "first frame: found -1, expected 0 or more", Error);
}

}  // namespace
}  // namespace mimi::test
