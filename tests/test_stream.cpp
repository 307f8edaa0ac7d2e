// The same input gives the same bits however it is cut, blocked, threaded and computed, and those
// bits are the ones that every machine and compiler gives: tests/data/output-bits.txt.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cfenv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/codec.h"
#include "core/crc32c.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/npy.h"

namespace mimi::test {
namespace {

struct Output {
  std::vector<std::uint16_t> codes;
  std::vector<float> audio;

  bool operator==(const Output& other) const {
    return codes == other.codes && audio.size() == other.audio.size() &&
           std::equal(audio.begin(), audio.end(), other.audio.begin(), [](float a, float b) {
             return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
           });
  }
};

constexpr std::size_t kFrame = 1920;
constexpr std::size_t kWhole = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kRandom = 0;

// How a stream is cut and computed; none of it may change a bit.
struct Cut {
  std::size_t push = kWhole;  // samples a push
  int block_frames = 0;
  int threads = 1;
};

// Splits `count` into pieces of `push`, or of random sizes.
template <typename Piece>
void for_each_piece(std::size_t count, std::size_t push, Piece piece) {
  std::minstd_rand random(1);
  for (std::size_t done = 0; done < count;) {
    const std::size_t size = push == kRandom ? random() % 4000 : push;
    const std::size_t taken = std::min(size, count - done);
    piece(done, taken);
    done += taken;
  }
}

std::vector<std::uint16_t> encode(Encoder& encoder, std::span<const float> audio,
                                  std::size_t push) {
  std::vector<std::uint16_t> codes;
  for_each_piece(audio.size(), push, [&](std::size_t first, std::size_t count) {
    encoder.push(audio.subspan(first, count), codes);
    // No frame waits for more than its own samples.
    REQUIRE(codes.size() / static_cast<std::size_t>(encoder.levels()) == (first + count) / kFrame);
  });
  encoder.finish(codes);
  return codes;
}

std::vector<float> decode(Decoder& decoder, std::span<const std::uint16_t> codes,
                          std::size_t levels, std::size_t push) {
  std::vector<float> audio;
  const std::size_t frames = push == kRandom ? kRandom : std::max<std::size_t>(1, push / kFrame);
  for_each_piece(codes.size() / levels, frames, [&](std::size_t first, std::size_t count) {
    decoder.push(codes.subspan(first * levels, count * levels), audio);
    REQUIRE(audio.size() == (first + count) * kFrame);
  });
  return audio;
}

Output run(const Model& model, std::span<const float> audio, int levels, const Cut& cut) {
  const StreamOptions stream = {.window = Window::kOffline,
                                .threads = cut.threads,
                                .block_frames = cut.block_frames,
                                .tap = {}};
  Encoder encoder(model, {.levels = levels, .stream = stream});
  Decoder decoder(model, {.levels = first_levels(levels), .stream = stream});
  Output output;
  output.codes = encode(encoder, audio, cut.push);
  output.audio = decode(decoder, output.codes, static_cast<std::size_t>(levels), cut.push);
  return output;
}

// The tables that run here, one of those that share the panels which a model in `dtype` uses.
std::vector<const kernels::KernelTable*> tables_of(Dtype dtype) {
  using Panel = void (*)(const kernels::PanelTask&);
  std::set<std::array<Panel, 3>> seen;
  std::vector<const kernels::KernelTable*> tables;
  for (const kernels::KernelTable* table : kernels::available()) {
    std::array<Panel, 3> panels = {table->f32_panel};
    if (dtype != Dtype::kF32) panels[1] = table->bf16.panel;
    if (dtype == Dtype::kInt8) panels[2] = table->int8.panel;
    if (seen.insert(panels).second) tables.push_back(table);
  }
  return tables;
}

Model open_tiny(const std::string& isa = {}, Dtype dtype = Dtype::kF32) {
  return Model::open((test_models() / "tiny-hf").string(),
                     {.isa = isa, .threads = 2, .dtype = dtype});
}

// 1.2 s of speech, the last of its 16 frames begun.
std::vector<float> speech() { return read_npy<float>(data_path("speech.npy")).values; }

// `seconds` of a noise whose loudness changes.
std::vector<float> noise(int seconds) {
  std::minstd_rand random(7);
  std::vector<float> audio(static_cast<std::size_t>(seconds) * 24000);
  for (std::size_t i = 0; i < audio.size(); ++i) {
    const float loudness = 0.001F * static_cast<float>(1 + i / 6000 % 100);
    audio[i] = loudness * (static_cast<float>(random() % 65536) / 32768.0F - 1.0F);
  }
  return audio;
}

// The CRC-32Cs in tests/data/output-bits.txt: lines of "MODEL CODES AUDIO", in hex.
struct Bits {
  std::string codes, audio;
  bool operator==(const Bits&) const = default;
};

Bits stored_bits(const std::string& model) {
  std::ifstream file(data_path("output-bits.txt"));
  std::string name;
  for (Bits bits; file >> name >> bits.codes >> bits.audio;) {
    if (name == model) return bits;
  }
  throw std::runtime_error("output-bits.txt has no line for " + model);
}

template <typename T>
std::string checksum(const std::vector<T>& values) {
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", crc32c(0, std::as_bytes(std::span(values))));
  return hex;
}

Bits bits_of(const Output& output) { return {checksum(output.codes), checksum(output.audio)}; }

constexpr std::size_t kPushes[] = {kWhole, 1, 7, kFrame - 1, kFrame, kFrame + 1, kRandom};
constexpr int kBlocks[] = {1, 2, 7, 32, 1024};  // 1024: all that there is

TEST_CASE("tiny model: the stored bits for every cut, block size, thread count and ISA") {
  const auto audio = speech();
  const Bits expected = stored_bits("tiny");
  for (const kernels::KernelTable* table : tables_of(Dtype::kF32)) {
    const std::string isa = table->name;
    CAPTURE(isa);
    const Model model = open_tiny(isa);
    REQUIRE(model.isa() == isa);
    for (const std::size_t push : kPushes) {
      CAPTURE(push);
      const Bits found = bits_of(run(model, audio, 6, {.push = push}));
      CHECK(found.codes == expected.codes);
      CHECK(found.audio == expected.audio);
    }
    std::size_t i = 0;
    for (int threads = 1; threads <= 4; ++threads) {
      for (const int block_frames : kBlocks) {
        CAPTURE(threads);
        CAPTURE(block_frames);
        const std::size_t push = kPushes[i++ % std::size(kPushes)];
        const Cut cut = {.push = push, .block_frames = block_frames, .threads = threads};
        CHECK(bits_of(run(model, audio, 6, cut)) == expected);
      }
    }
  }
}

// Kernels of few rows and of many, blocks that end anywhere, work shared out or not.
constexpr Cut kDtypeCuts[] = {
    {.push = kWhole, .block_frames = 32, .threads = 2},
    {.push = kFrame, .block_frames = 1, .threads = 1},
    {.push = kRandom, .block_frames = 7, .threads = 3},
};

TEST_CASE("tiny model in bf16 and int8: the stored bits for every cut and ISA") {
  const auto audio = speech();
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kInt8}) {
    const Bits expected = stored_bits("tiny-" + std::string(dtype_name(dtype)));
    for (const kernels::KernelTable* table : tables_of(dtype)) {
      CAPTURE(std::string(table->name));
      const Model model = open_tiny(table->name, dtype);
      for (const Cut& cut : kDtypeCuts) {
        const Bits found = bits_of(run(model, audio, 6, cut));
        CHECK(found.codes == expected.codes);
        CHECK(found.audio == expected.audio);
      }
    }
  }
}

// Rows of one channel, which Vecs must not write over.
TEST_CASE("a model as narrow as can be: the same bits for every cut and ISA") {
  const auto audio = speech();
  const auto open_narrow = [](const std::string& isa, Dtype dtype) {
    return Model::open((test_models() / "narrow-hf").string(), {.isa = isa, .dtype = dtype});
  };
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kInt8}) {
    CAPTURE(std::string(dtype_name(dtype)));
    const Output expected = run(open_narrow("portable", dtype), audio, 2, {});
    for (const kernels::KernelTable* table : tables_of(dtype)) {
      CAPTURE(std::string(table->name));
      for (const Cut& cut : kDtypeCuts) {
        CHECK(run(open_narrow(table->name, dtype), audio, 2, cut) == expected);
      }
    }
  }
}

// A third of a second, since an emulated machine takes a minute for a second.
TEST_CASE("shipped model: the stored bits on every ISA") {
  auto audio = speech();
  audio.resize(9000);
  const Bits expected = stored_bits("shipped");
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kInt8}) {
    const bool f32 = dtype == Dtype::kF32;
    const Bits stored = f32 ? expected : stored_bits("shipped-" + std::string(dtype_name(dtype)));
    for (const kernels::KernelTable* table : tables_of(dtype)) {
      const std::string isa = table->name;
      CAPTURE(isa);
      const Model model = Model::embedded({.isa = isa, .threads = 2, .dtype = dtype});
      const Bits found =
          bits_of(run(model, audio, 32, {.push = kRandom, .block_frames = 2, .threads = 3}));
      CHECK(found.codes == stored.codes);
      CHECK(found.audio == stored.audio);
    }
  }
  CHECK(bits_of(run(Model::embedded(), audio, 32, {})) == expected);
}

TEST_CASE("a model opened for one direction and some levels gives the same bits and nothing else") {
  const std::string path = (test_models() / "tiny-hf").string();
  const auto audio = speech();
  const Model whole = open_tiny();
  const Output expected = run(whole, audio, 4, {});
  const Model encoding = Model::open(path, {.use = ModelUse::kEncode, .levels = 4});
  const Model decoding = Model::open(path, {.use = ModelUse::kDecode, .levels = 4});
  for (const Model& model : {encoding, decoding}) {
    CHECK(model.info().fingerprint == whole.info().fingerprint);
    CHECK(model.info().levels == 6);
    CHECK(model.info().parameters == whole.info().parameters);
    CHECK(receptive_field(model).encoder_frames == receptive_field(whole).encoder_frames);
    CHECK(receptive_field(model).decoder_frames == receptive_field(whole).decoder_frames);
  }
  Encoder encoder(encoding, {.levels = 4, .stream = {}});
  CHECK(encode(encoder, audio, kWhole) == expected.codes);
  Decoder decoder(decoding, {.levels = first_levels(4), .stream = {}});
  CHECK(Output{expected.codes, decode(decoder, expected.codes, 4, kWhole)} == expected);

  CHECK(error_of([&] { Decoder(encoding, {.levels = {0}, .stream = {}}); }) ==
        "the model 'tiny-hf' was opened for encoding only");
  CHECK(error_of([&] { Encoder(decoding, {.levels = 1, .stream = {}}); }) ==
        "the model 'tiny-hf' was opened for decoding only");
  CHECK(error_of([&] { Encoder(encoding, {.levels = 5, .stream = {}}); }) ==
        "the model 'tiny-hf' was opened for 4 levels, not for 5");
  CHECK(error_of([&] {
          Decoder(decoding, {.levels = {0, 5}, .stream = {}});
        }) == "the model 'tiny-hf' was opened for 4 levels, not for 6");
  CHECK(Model::open(path, {.levels = 99}).info().fingerprint == whole.info().fingerprint);
}

TEST_CASE("what is not used of a model is verified all the same") {
  const TempDir folder;
  const std::string file = read_file(test_models() / "tiny-hf" / "model.safetensors");
  write_file(folder / "config.json", read_file(test_models() / "tiny-hf" / "config.json"));
  const auto error_of_opening = [&](const std::string& tensor, ModelUse use) {
    std::string damaged = file;
    std::size_t place = damaged.find("\"" + tensor + "\":");
    REQUIRE(place != std::string::npos);
    place = damaged.find("\"data_offsets\":", place);
    place = damaged.find('[', place) + 1;
    std::uint64_t header_size = 0;
    std::memcpy(&header_size, damaged.data(), sizeof header_size);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    damaged.replace(sizeof header_size + header_size + std::stoul(damaged.substr(place)),
                    sizeof nan, reinterpret_cast<const char*>(&nan), sizeof nan);
    write_file(folder / "model.safetensors", damaged);
    return error_of([&] { Model::open(folder.path(), {.threads = 2, .use = use, .levels = 1}); });
  };
  const std::string told = "' holds nan as value 0, expected finite values";
  for (const char* tensor : {"decoder.layers.2.conv.weight", "upsample.conv.weight"}) {
    CHECK(error_of_opening(tensor, ModelUse::kEncode).ends_with(tensor + told));
  }
  for (const char* tensor : {"encoder.layers.0.conv.bias", "downsample.conv.weight"}) {
    CHECK(error_of_opening(tensor, ModelUse::kDecode).ends_with(tensor + told));
  }
  const std::string codebook =
      "quantizer.acoustic_residual_vector_quantizer.layers.4.codebook.embed";
  CHECK(error_of_opening(codebook + "_sum", ModelUse::kEncode).ends_with(codebook + told));
}

TEST_CASE("a stream that was reset or finished is a new one") {
  const Model model = open_tiny();
  const auto audio = speech();
  const Output fresh = run(model, audio, 6, {});
  Encoder encoder(model, {.levels = 6, .stream = {}});
  Decoder decoder(model, {.levels = first_levels(6), .stream = {}});
  const auto other = noise(2);
  std::vector<std::uint16_t> codes;

  encoder.push(std::span(other).first(12345), codes);
  encoder.reset();
  CHECK(encode(encoder, audio, kWhole) == fresh.codes);  // which finishes it
  CHECK(encode(encoder, audio, 777) == fresh.codes);

  std::vector<float> unused;
  decoder.push(codes, unused);
  decoder.reset();
  const auto decoded = decode(decoder, fresh.codes, 6, kWhole);
  CHECK(Output{fresh.codes, decoded} == fresh);
}

TEST_CASE("nothing in, nothing out") {
  const Model model = open_tiny();
  CHECK(run(model, {}, 6, {}).codes.empty());
  CHECK(run(model, {}, 6, {}).audio.empty());
  CHECK(run(model, std::vector<float>(1), 6, {}).audio.size() == kFrame);
}

// 125 steps, of which attention sees the last ten: rings wrap many times.
TEST_CASE("a long stream gives the same bits however it is cut, under every window rule") {
  const Model model = open_tiny();
  const auto audio = noise(5);
  std::set<std::vector<std::uint16_t>> different;
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    CAPTURE(window_name(window));
    const auto encoded = [&](std::size_t push, int block_frames) {
      const StreamOptions stream = {
          .window = window, .threads = 1, .block_frames = block_frames, .tap = {}};
      Encoder encoder(model, {.levels = 6, .stream = stream});
      return encode(encoder, audio, push);
    };
    const auto whole = encoded(kWhole, 1024);
    CHECK(encoded(kFrame, 1) == whole);
    CHECK(encoded(kRandom, 7) == whole);
    different.insert(whole);
  }
  CHECK(different.size() == 3);
}

TEST_CASE("two streams of one model on two threads") {
  const Model model = open_tiny();
  const auto audio = speech();
  const Output alone = run(model, audio, 6, {});
  Output outputs[2];
  std::thread other([&] { outputs[1] = run(model, audio, 6, {.push = kFrame, .threads = 2}); });
  outputs[0] = run(model, audio, 6, {.push = kRandom, .threads = 2});
  other.join();
  CHECK(outputs[0] == alone);
  CHECK(outputs[1] == alone);
}

TEST_CASE("the caller's rounding mode changes nothing, and stays") {
  const auto audio = speech();
  const Bits expected = stored_bits("tiny");
  REQUIRE(std::fesetround(FE_UPWARD) == 0);
  const Bits found = bits_of(run(open_tiny(), audio, 6, {.threads = 2}));
  const int mode = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(mode == FE_UPWARD);
  CHECK(found == expected);
}

TEST_CASE("errors say what was found where") {
  const Model model = open_tiny();
  std::vector<std::uint16_t> codes;
  std::vector<float> audio;
  CHECK(error_of([&] { Encoder(model, {.levels = 7, .stream = {}}); }) ==
        "levels: found 7, expected 1 to 6, what the model 'tiny-hf' has");
  CHECK(error_of([&] { Encoder(model, {.levels = 0, .stream = {}}); }) ==
        "levels: found 0, expected 1 to 6, what the model 'tiny-hf' has");
  CHECK(error_of([&] {
          Decoder(model, {.levels = {1, 1}, .stream = {}});
        }) == "levels: found 1 after 1, expected ascending order");
  CHECK(error_of([&] { Decoder(model, {.levels = {}, .stream = {}}); }) ==
        "levels: found none, expected at least one");
  CHECK(error_of([&] { parse_window("local"); }) ==
        "unknown window 'local'; expected offline, moshi-streaming or rust");

  Encoder encoder(model, {.levels = 6, .stream = {}});
  encoder.push(std::vector<float>(5000), codes);
  std::vector<float> bad(100);
  bad[30] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] { encoder.push(bad, codes); }) == "sample 5030 is not a number");
  bad[30] = -std::numeric_limits<float>::infinity();
  CHECK(error_of([&] { encoder.push(bad, codes); }) == "sample 5030 is infinite");

  Decoder decoder(model, {.levels = {0, 4}, .stream = {}});
  decoder.push(std::vector<std::uint16_t>(6), audio);
  CHECK(error_of([&] {
          decoder.push(std::vector<std::uint16_t>{1, 2, 3, 64}, audio);
        }) == "frame 4, level 4: found code 64, expected 0 to 63");
  CHECK(error_of([&] { decoder.push(std::vector<std::uint16_t>(5), audio); }) ==
        "codes: found 5, expected whole frames of 2");
  CHECK(audio.size() == 3 * kFrame);
}

}  // namespace
}  // namespace mimi::test
