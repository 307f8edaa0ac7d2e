// Streams cut anyhow, of any dtype, window, block, number of levels and threads, on any instruction
// set that this machine has: the codes and the sound must be the portable one's of the whole. The
// model is the one in the folder that MIMI_FUZZ_MODEL names.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/codec.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace {

const mimi::Model& model(const std::string& isa, mimi::Dtype dtype) {
  static std::map<std::pair<std::string, mimi::Dtype>, mimi::Model> models;
  const auto found = models.find({isa, dtype});
  if (found != models.end()) return found->second;
  const char* const folder = std::getenv("MIMI_FUZZ_MODEL");
  if (folder == nullptr) std::abort();
  mimi::Model opened = mimi::Model::open(folder, {.isa = isa, .dtype = dtype});
  return models.emplace(std::pair(isa, dtype), std::move(opened)).first->second;
}

std::vector<float> noise(std::size_t samples, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<float> audio(samples);
  for (float& x : audio) x = static_cast<float>(random() % 2001) / 1000 - 1;
  return audio;
}

struct Stream {
  std::string isa;
  mimi::Dtype dtype;
  std::vector<float> audio;
  int levels;
  mimi::StreamOptions options;
  std::vector<std::size_t> pushes;  // samples; what they leave is pushed at the end

  std::vector<std::uint16_t> codes() const {
    mimi::Encoder encoder(model(isa, dtype), {.levels = levels, .stream = options});
    std::vector<std::uint16_t> codes;
    std::span<const float> rest = audio;
    for (const std::size_t push : pushes) {
      encoder.push(rest.first(std::min(push, rest.size())), codes);
      rest = rest.subspan(std::min(push, rest.size()));
    }
    encoder.push(rest, codes);
    encoder.finish(codes);
    return codes;
  }

  // A push of so many frames as there are samples in the encoder's, modulo 4.
  std::vector<float> sound(std::span<const std::uint16_t> codes) const {
    mimi::Decoder decoder(model(isa, dtype),
                          {.levels = mimi::first_levels(levels), .stream = options});
    std::vector<float> sound;
    for (const std::size_t push : pushes) {
      const std::size_t count = std::min(push % 4 * static_cast<std::size_t>(levels), codes.size());
      decoder.push(codes.first(count), sound);
      codes = codes.subspan(count);
    }
    decoder.push(codes, sound);
    return sound;
  }
};

Stream stream_from(FuzzedDataProvider& data) {
  const auto& tables = mimi::kernels::available();
  Stream stream;
  stream.isa = tables[data.ConsumeIntegralInRange<std::size_t>(0, tables.size() - 1)]->name;
  stream.dtype = data.PickValueInArray({mimi::Dtype::kF32, mimi::Dtype::kBf16, mimi::Dtype::kInt8});
  stream.levels = data.ConsumeIntegralInRange(1, model("portable", stream.dtype).info().levels);
  stream.options.window = data.PickValueInArray(
      {mimi::Window::kOffline, mimi::Window::kMoshiStreaming, mimi::Window::kRust});
  stream.options.threads = data.ConsumeIntegralInRange(1, 2);
  stream.options.block_frames = data.ConsumeIntegralInRange(0, 5);
  const auto samples = data.ConsumeIntegralInRange<std::size_t>(0, 3000);
  stream.audio = noise(samples, data.ConsumeIntegral<std::uint8_t>());
  while (data.remaining_bytes() > 0) {
    stream.pushes.push_back(data.ConsumeIntegralInRange<std::size_t>(0, 2500));
  }
  return stream;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

}  // namespace

// Opens all models, so that no input has to wait for them.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  for (const auto* table : mimi::kernels::available()) {
    for (const auto dtype : {mimi::Dtype::kF32, mimi::Dtype::kBf16, mimi::Dtype::kInt8}) {
      model(table->name, dtype);
    }
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size > 64) return 0;
  FuzzedDataProvider data(bytes, size);
  const Stream stream = stream_from(data);
  Stream whole = stream;
  whole.isa = "portable";
  whole.pushes.clear();
  whole.options.threads = 1;
  whole.options.block_frames = 0;
  const std::vector<std::uint16_t> codes = whole.codes();
  const std::vector<float> sound = whole.sound(codes);
  if (stream.codes() != codes || !same_bits(stream.sound(codes), sound)) std::abort();
  return 0;
}
