// What a program that uses the library can get wrong is told, and what it may do works: moving a
// stream changes nothing.
#include <doctest/doctest.h>

#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint.h"
#include "core/codec.h"
#include "core/mapped_file.h"
#include "core/token_file.h"
#include "tests/files.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

std::string tiny_path() { return (test_models() / "tiny-hf").string(); }

TEST_CASE("options that no stream can have are refused") {
  const Model model = Model::open(tiny_path());
  const auto refusal = [&](const StreamOptions& options) {
    return error_of([&] { Encoder(model, {.levels = 1, .stream = options}); });
  };
  CHECK(refusal({.threads = 0, .tap = {}}) == "threads: found 0, expected 1 to 1024");
  CHECK(refusal({.threads = 1025, .tap = {}}) == "threads: found 1025, expected 1 to 1024");
  CHECK(refusal({.block_frames = -1, .tap = {}}) == "block frames: found -1, expected 0 to 1024");
  CHECK(refusal({.block_frames = 1025, .tap = {}}) ==
        "block frames: found 1025, expected 0 to 1024");

  const auto refused_levels = [&](const std::vector<int>& levels) {
    return error_of([&] { Decoder(model, {.levels = levels, .stream = {}}); });
  };
  CHECK(refused_levels({}) == "levels: found none, expected at least one");
  CHECK(refused_levels({0, -1}) ==
        "level: found -1, expected 0 to 5, what the model 'tiny-hf' has");
  CHECK(refused_levels({6}) == "level: found 6, expected 0 to 5, what the model 'tiny-hf' has");
  CHECK(refused_levels({1, 1}) == "levels: found 1 after 1, expected ascending order");

  const std::string early = "first frame: found -1, expected 0 to 536870912";
  CHECK(error_of([&] { Encoder(model, {.levels = 1, .stream = {}}).reset(-1); }) == early);
  CHECK(error_of([&] { Decoder(model, {.levels = {0}, .stream = {}}).reset(-1); }) == early);
}

TEST_CASE("a stream that failed half-way is refused until it is reset") {
  const Model model = Model::open(tiny_path());
  bool fails = false;
  const StreamOptions options = {.tap = [&fails](auto&&...) {
    if (fails) throw std::bad_alloc();
  }};
  const std::vector<float> frame(1920, 0.5F);
  Encoder encoder(model, {.levels = 2, .stream = options});
  std::vector<std::uint16_t> expected, codes;
  encoder.push(frame, expected);
  fails = true;
  CHECK_THROWS_AS(encoder.push(frame, codes), std::bad_alloc);
  fails = false;
  const std::string refusal = "the encoder failed in an earlier call: reset() begins it anew";
  CHECK(error_of([&] { encoder.push(frame, codes); }) == refusal);
  CHECK(error_of([&] { encoder.finish(codes); }) == refusal);
  encoder.reset();
  codes.clear();
  encoder.push(frame, codes);
  CHECK(codes == expected);

  Decoder decoder(model, {.levels = {0, 1}, .stream = options});
  std::vector<float> whole, sound;
  decoder.push(expected, whole);
  fails = true;
  CHECK_THROWS_AS(decoder.push(expected, sound), std::bad_alloc);
  fails = false;
  CHECK(error_of([&] { decoder.push(expected, sound); }) ==
        "the decoder failed in an earlier call: reset() begins it anew");
  decoder.reset();
  sound.clear();
  decoder.push(expected, sound);
  CHECK(sound == whole);
}

TEST_CASE("names that stand for nothing are refused") {
  CHECK(error_of([] { parse_dtype("fp8"); }) == "unknown dtype 'fp8'; expected f32, bf16 or int8");
  CHECK(error_of([] { parse_window("full"); }) ==
        "unknown window 'full'; expected offline, moshi-streaming or rust");
  CHECK(error_of([] {
          Model::open(tiny_path(), {.isa = "mmx"});
        }).starts_with("unknown instruction set 'mmx'"));
}

TEST_CASE("one decoder twice in what is advanced together is refused") {
  const Model model = Model::open(tiny_path());
  Decoder decoder(model, {.levels = {0}, .stream = {}});
  const std::vector<std::uint16_t> codes(1);
  std::vector<float> samples;
  const std::vector<DecoderPush> pushes = {{&decoder, codes, &samples},
                                           {&decoder, codes, &samples}};
  CHECK(error_of([&] { push_together(pushes); }) == "pushes 0 and 1 are to the same decoder");
  CHECK(samples.empty());
}

// Moves it away, and back.
template <typename T>
void move(T& moved) {
  T other(std::move(moved));
  moved = std::move(other);
}

TEST_CASE("streams, files and checkpoints can be moved at any time") {
  const Model model = Model::open(tiny_path());
  const std::vector<float> audio(3000, 0.25F);
  std::vector<std::uint16_t> codes, moved_codes;
  std::vector<float> samples, moved_samples;
  for (const bool moves : {false, true}) {
    Encoder encoder(model, {.levels = 2, .stream = {}});
    Decoder decoder(model, {.levels = {0, 1}, .stream = {}});
    std::vector<std::uint16_t>& found = moves ? moved_codes : codes;
    std::vector<float>& heard = moves ? moved_samples : samples;
    encoder.push(audio, found);
    if (moves) move(encoder);
    encoder.push(audio, found);
    encoder.finish(found);
    decoder.push(std::span(found).first(2), heard);
    if (moves) move(decoder);
    decoder.push(std::span(found).subspan(2), heard);
  }
  CHECK(codes == moved_codes);
  CHECK(samples == moved_samples);

  Bytes file;
  TokenWriter writer(sink_to(file), made_up_header());
  move(writer);
  writer.finish();
  TokenReader reader(source_of(file));
  move(reader);
  CHECK(reader.header().model_name == "kyutai/mimi");

  Checkpoint checkpoint = Checkpoint::open(tiny_path());
  move(checkpoint);
  CHECK(checkpoint.name() == "tiny-hf");
  MappedFile config(tiny_path() + "/config.json");
  const std::size_t size = config.bytes().size();
  move(config);
  CHECK(config.bytes().size() == size);
}

}  // namespace
}  // namespace mimi::test
