// Streams advanced together give the bits that each would give alone, whoever joins or leaves.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "tests/files.h"

namespace mimi::test {
namespace {

constexpr std::size_t kFrame = 1920;

Model open_tiny(Dtype dtype) {
  return Model::open((test_models() / "tiny-hf").string(), {.dtype = dtype});
}

std::vector<float> noise(std::size_t samples, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> audio(samples);
  for (float& x : audio) x = static_cast<float>(random() % 65536) / 65536.0F - 0.5F;
  return audio;
}

// A stream of its own length, level count and window that joins some time.
struct Voice {
  Voice(const Model& model, std::size_t index, int threads)
      : levels(1 + static_cast<int>(index) % 6),
        first_round(index * 2),
        audio(noise(kFrame * (5 + 3 * index) + 700 * index, static_cast<unsigned>(index) + 1)),
        encoder(model, {.levels = levels, .stream = stream(index, threads)}),
        decoder(model, {.levels = first_levels(levels), .stream = stream(index, threads)}) {
    Encoder alone(model, {.levels = levels, .stream = stream(index, 1)});
    alone.push(audio, codes);
    Decoder decoder_alone(model, {.levels = first_levels(levels), .stream = stream(index, 1)});
    decoder_alone.push(codes, decoded);
  }

  static StreamOptions stream(std::size_t index, int threads) {
    return {.window = index % 2 == 0 ? Window::kOffline : Window::kRust,
            .threads = threads,
            .block_frames = static_cast<int>(1 + index),
            .tap = {}};
  }

  int levels;
  std::size_t first_round;
  std::vector<float> audio;
  Encoder encoder;
  Decoder decoder;
  std::vector<std::uint16_t> codes;  // of the stream alone
  std::vector<float> decoded;
  std::size_t samples_pushed = 0, frames_pushed = 0;
  std::vector<std::uint16_t> found_codes;
  std::vector<float> found_audio;
};

void check_together(Dtype dtype, int threads) {
  const Model model = open_tiny(dtype);
  std::deque<Voice> voices;
  for (std::size_t i = 0; i < 5; ++i) voices.emplace_back(model, i, threads);
  std::minstd_rand random(3);
  for (std::size_t round = 0; round < 60; ++round) {
    std::vector<EncoderPush> encoder_pushes;
    std::vector<DecoderPush> decoder_pushes;
    for (Voice& v : voices) {
      const std::size_t samples =
          std::min<std::size_t>(random() % (3 * kFrame), v.audio.size() - v.samples_pushed);
      if (round < v.first_round) continue;
      encoder_pushes.push_back(
          {&v.encoder, std::span(v.audio).subspan(v.samples_pushed, samples), &v.found_codes});
      v.samples_pushed += samples;
      const auto levels = static_cast<std::size_t>(v.levels);
      const std::size_t frames =
          std::min<std::size_t>(random() % 3, v.codes.size() / levels - v.frames_pushed);
      decoder_pushes.push_back(
          {&v.decoder, std::span(v.codes).subspan(v.frames_pushed * levels, frames * levels),
           &v.found_audio});
      v.frames_pushed += frames;
    }
    push_together(encoder_pushes);
    push_together(decoder_pushes);
  }
  for (const Voice& v : voices) {
    CAPTURE(v.levels);
    REQUIRE(v.samples_pushed == v.audio.size());
    CHECK(v.found_codes == v.codes);
    CHECK(v.found_audio == v.decoded);
  }
}

TEST_CASE("streams together give the bits of each alone, in each dtype") {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kInt8}) {
    CAPTURE(std::string(dtype_name(dtype)));
    check_together(dtype, 1);
    check_together(dtype, 3);
  }
}

template <typename Push>
std::string error_of(const std::vector<Push>& pushes) {
  try {
    push_together(std::span<const Push>(pushes));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("streams that cannot be advanced together are refused, and nothing is heard") {
  const Model model = open_tiny(Dtype::kF32), other = open_tiny(Dtype::kF32);
  Encoder one(model, {.levels = 2, .stream = {}}), two(other, {.levels = 2, .stream = {}});
  Encoder three(model, {.levels = 2, .stream = {.threads = 3, .tap = {}}});
  const auto audio = noise(kFrame, 1);
  std::vector<std::uint16_t> codes, others;
  const auto pushes = [&](Encoder& second) {
    return std::vector<EncoderPush>{{&one, audio, &codes}, {&second, audio, &others}};
  };
  CHECK(error_of(pushes(two)) ==
        "streams to be advanced together are of two models, 'tiny-hf' and 'tiny-hf'");
  CHECK(error_of(pushes(three)) == "streams to be advanced together have 1 threads and 3");
  CHECK(error_of(pushes(one)) == "pushes 0 and 1 are to the same encoder");
  Encoder four(model, {.levels = 2, .stream = {}});
  const std::vector<EncoderPush> to_one = {{&one, audio, &codes}, {&four, audio, &codes}};
  CHECK(error_of(to_one) == "pushes 0 and 1 append to the same codes");
  CHECK(codes.empty());

  Decoder first(model, {.levels = {0}, .stream = {}}), second(model, {.levels = {0}, .stream = {}});
  const std::vector<std::uint16_t> heard(100);
  std::vector<float> samples;
  const std::vector<DecoderPush> of_both = {{&first, heard, &samples}, {&second, heard, &samples}};
  CHECK(error_of(of_both) == "pushes 0 and 1 append to the same samples");
  CHECK(samples.empty());
  push_together(std::span<const EncoderPush>());
}

}  // namespace
}  // namespace mimi::test
