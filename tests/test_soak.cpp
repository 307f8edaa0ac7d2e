// Memory stays flat and bits stay right however long a stream is and however many there were
// before: for a minute and a hundred streams, or, where MIMI_SOAK is set, 10 hours and 10,000
// streams.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "core/codec.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/npy.h"

namespace mimi::test {
namespace {

constexpr int kLevels = 6;
constexpr std::int64_t kFrameSamples = 1920;
constexpr std::int64_t kRoundFrames = 100;  // 8 s, more than the receptive field of the tiny model

bool is_soak() { return std::getenv("MIMI_SOAK") != nullptr; }

// The stored speech again and again, for one round.
std::vector<float> looped_speech() {
  const auto speech = read_npy<float>(data_path("speech.npy")).values;
  std::vector<float> audio(kRoundFrames * kFrameSamples);
  for (std::size_t i = 0; i < audio.size(); ++i) audio[i] = speech[i % speech.size()];
  return audio;
}

// Under a sanitizer's own malloc all is 0.
struct Heap {
  std::size_t in_use, from_system;
};

Heap heap() {
  const auto info = ::mallinfo2();
  return {.in_use = info.uordblks + info.hblkhd, .from_system = info.arena + info.hblkhd};
}

// malloc keeps a few small pieces that were freed as if they were in use, and rounds to pages.
bool is_flat(const Heap& at_start) {
  const Heap now = heap();
  return now.in_use <= at_start.in_use + (8 << 10) &&
         now.from_system <= at_start.from_system + (256 << 10);
}

struct Stream {
  explicit Stream(const Model& model)
      : encoder(model, {.levels = kLevels, .stream = {}}),
        decoder(model, {.levels = first_levels(kLevels), .stream = {}}) {}

  void push(std::span<const float> sound) {
    codes.clear();
    audio.clear();
    encoder.push(sound, codes);
    decoder.push(codes, audio);
  }

  Encoder encoder;
  Decoder decoder;
  std::vector<std::uint16_t> codes;  // of the last push
  std::vector<float> audio;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, {}, std::bit_cast<std::uint32_t, float>,
                            std::bit_cast<std::uint32_t, float>);
}

Model open_tiny() { return Model::open((test_models() / "tiny-hf").string()); }

TEST_CASE("hours of sound: memory is flat, and the bits are those of a stream begun at the end") {
  const Model model = open_tiny();
  const auto sound = looped_speech();
  REQUIRE(receptive_field(model).encoder_frames < kRoundFrames);
  REQUIRE(receptive_field(model).decoder_frames < kRoundFrames);
  const std::int64_t rounds = is_soak() ? 10 * 3600 / 8 : 8;

  Stream stream(model);
  std::vector<std::uint16_t> codes_before;
  codes_before.reserve(kRoundFrames * kLevels);
  stream.push(sound);
  const Heap at_start = heap();
  for (std::int64_t round = 1; round < rounds; ++round) {
    codes_before = stream.codes;
    stream.push(sound);
    REQUIRE(is_flat(at_start));
  }

  Stream late(model);
  late.encoder.reset((rounds - 2) * kRoundFrames);
  late.decoder.reset((rounds - 2) * kRoundFrames);
  late.encoder.push(sound, late.codes);
  late.decoder.push(codes_before, late.audio);
  late.push(sound);
  CHECK(late.codes == stream.codes);
  CHECK(same_bits(late.audio, stream.audio));
}

TEST_CASE("many streams opened and closed: memory is flat, and each gives the bits of the first") {
  const Model model = open_tiny();
  const std::vector<float> speech = looped_speech();
  const auto sound = std::span(speech).first(4 * kFrameSamples);
  Stream first(model);
  first.push(sound);

  // Where in the heap small pieces happen to be kept decides how much of it can be given back, so
  // the first streams together tell how much is held.
  constexpr int kFirst = 20;
  Heap at_start{};
  const int streams = is_soak() ? 10000 : 100;
  for (int i = 0; i < streams; ++i) {
    {
      Stream stream(model);
      stream.push(sound);
      REQUIRE(stream.codes == first.codes);
      REQUIRE(same_bits(stream.audio, first.audio));
    }
    if (i == 0) at_start = heap();
    if (i < kFirst) at_start.from_system = std::max(at_start.from_system, heap().from_system);
    REQUIRE(is_flat(at_start));
  }
}

// The system gives no more memory; what has been freed may do.
class NoMoreMemory {
 public:
  NoMoreMemory() {
    REQUIRE(::getrlimit(RLIMIT_AS, &before_) == 0);
    const rlimit none = {.rlim_cur = 0, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_AS, &none) == 0);
  }
  NoMoreMemory(const NoMoreMemory&) = delete;
  NoMoreMemory& operator=(const NoMoreMemory&) = delete;
  ~NoMoreMemory() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

template <typename Call>
bool finds_no_memory(Call call) {
  const NoMoreMemory none;
  try {
    call();
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

TEST_CASE("a stream that no memory was found for to begin anew is refused until there is") {
  const Model model = open_tiny();
  const StreamOptions long_blocks = {.block_frames = 1024, .tap = {}};  // of pages of their own
  const std::vector<float> frame(kFrameSamples, 0.5F);
  std::vector<std::uint16_t> codes, expected;
  Encoder encoder(model, {.levels = kLevels, .stream = long_blocks});
  encoder.push(frame, expected);
  REQUIRE(finds_no_memory([&] { encoder.reset(); }));
  const std::string refusal = "failed in an earlier call: reset() begins it anew";
  CHECK(error_of([&] { encoder.push(frame, codes); }) == "the encoder " + refusal);
  encoder.reset();
  encoder.push(frame, codes);
  CHECK(codes == expected);
  REQUIRE(finds_no_memory([&] { encoder.finish(codes); }));
  CHECK(error_of([&] { encoder.finish(codes); }) == "the encoder " + refusal);

  std::vector<float> audio, whole;
  Decoder decoder(model, {.levels = first_levels(kLevels), .stream = long_blocks});
  decoder.push(expected, whole);
  REQUIRE(finds_no_memory([&] { decoder.reset(); }));
  CHECK(error_of([&] { decoder.push(expected, audio); }) == "the decoder " + refusal);
  decoder.reset();
  decoder.push(expected, audio);
  CHECK(same_bits(audio, whole));
}

}  // namespace
}  // namespace mimi::test
