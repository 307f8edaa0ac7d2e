// Parts of .mimi files of any segments, lead-ins and gaps: `decode --from --to`, and what `cut` has
// made, must give the bits of the whole; and parts of recordings, of which `encode --from --to`
// must give the whole's codes. The model is the small one in Hugging Face's layout in the folder
// that MIMI_FUZZ_CHECKPOINTS names.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "tests/files.h"
#include "tests/fuzz/surroundings.h"
#include "tests/fuzz/temporary_folder.h"
#include "tests/fuzz/token_file_maker.h"
#include "tests/token_parts.h"

namespace mimi::test {
namespace {

constexpr std::uint32_t kMostDecodedFrames = 1000;  // of a file

const Model& model() {
  static const Model model = Model::open(checkpoint_folder("hf"), {});
  return model;
}

TokenHeader header_of(const ModelInfo& info, FuzzedDataProvider& data) {
  TokenHeader header = made_up_header();
  header.sample_rate_hz = info.sample_rate;
  header.frame_samples = info.frame_samples;
  header.levels = data.ConsumeIntegralInRange(1, info.levels);
  header.streams = data.ConsumeIntegralInRange(1, 2);
  header.codebook_size = info.codebook_size;
  header.model_name = info.name;
  header.model_fingerprint = info.fingerprint;
  header.window = data.PickValueInArray({Window::kOffline, Window::kMoshiStreaming, Window::kRust});
  return header;
}

cli::CommonOptions common_options() {
  return {.model = checkpoint_folder("hf"), .threads = 1, .quiet = true};
}

// Of positions that a decoder does not count to.
bool may_refuse(const TokenFileInfo& info) {
  return std::ranges::any_of(info.segments, [](const auto& segment) {
    return std::uint64_t{segment.start.origin_frame} + segment.end.frames >
           std::uint64_t{kMostFrames};
  });
}

// Headerless float32 of a file, or of its samples from `from` to before `to`; none: refused.
std::optional<std::string> decoded(const Bytes& file, const cli::TimeRange& range) {
  static const TemporaryFolder folder;
  const std::string in =
      folder.write("in.mimi", {reinterpret_cast<const char*>(file.data()), file.size()});
  cli::DecodeOptions options;
  options.inputs = {in};
  options.output.path = folder.path() + "/out.raw";
  options.output.force = true;
  options.sink.raw = true;
  options.sink.sample = cli::SampleFormat::kF32;
  options.range = range;
  if (cli::run_decode(options, common_options()) != cli::kExitDone) return std::nullopt;
  return read_file(options.output.path);
}

// Noise, the same each time.
Bytes encoded(std::uint64_t samples, cli::EncodeOptions options) {
  static const TemporaryFolder folder;
  std::minstd_rand random(1);
  std::vector<float> noise(samples);
  for (float& x : noise) x = static_cast<float>(random() % 2001) / 1000 - 1;
  options.inputs = {folder.write("in.raw", bytes_of(noise))};
  options.output.path = folder.path() + "/out.mimi";
  options.output.force = true;
  options.source.raw = true;
  options.source.raw_format.sample = cli::SampleFormat::kF32;
  options.source.raw_format.rate_hz = model().info().sample_rate;
  if (cli::run_encode(options, common_options()) != cli::kExitDone) std::abort();
  const std::string file = read_file(options.output.path);
  const auto bytes = as_bytes(file);
  return {bytes.begin(), bytes.end()};
}

double seconds(std::uint64_t sample) {
  return static_cast<double>(sample) / model().info().sample_rate;
}

// Two numbers that choose a part of `total` samples, more than 0.
struct Choice {
  explicit Choice(FuzzedDataProvider& data)
      : from(data.ConsumeIntegral<std::uint16_t>()), to(data.ConsumeIntegral<std::uint16_t>()) {}

  // The first sample, and the first behind it.
  std::pair<std::uint64_t, std::uint64_t> of(std::uint64_t total) const {
    const std::uint64_t first = from % total;
    return {first, first + 1 + to % (total - first)};
  }

  std::uint16_t from, to;
};

void check_decoded(FuzzedDataProvider& data) {
  const TokenHeader header = header_of(model().info(), data);
  const Choice choice(data);
  Bytes file;
  try {
    file = FileMaker(data, header, 7).make();
  } catch (const Error&) {
    return;
  }
  const TokenFileInfo info = read_token_info(source_of(file));
  const TokenTotals& totals = info.totals;
  if (totals.samples == 0 || totals.frames > kMostDecodedFrames || may_refuse(info)) return;
  const std::optional<std::string> whole = decoded(file, {});
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(header.streams);
  if (!whole || whole->size() != totals.samples * bytes) std::abort();

  const auto [from, to] = choice.of(totals.samples);
  const std::string expected = whole->substr(from * bytes, (to - from) * bytes);
  if (decoded(file, {.from_s = seconds(from), .to_s = seconds(to)}) != expected) std::abort();
  const auto lead_in =
      static_cast<std::uint32_t>(receptive_field(model(), header.window).decoder_frames);
  const Bytes part = cut(file, {.from_sample = from, .to_sample = to, .lead_in_frames = lead_in});
  if (decoded(part, {}) != expected) std::abort();
}

void check_encoded(FuzzedDataProvider& data) {
  const Choice choice(data);
  cli::EncodeOptions options;
  options.levels = data.ConsumeIntegralInRange(1, model().info().levels);
  options.window =
      data.PickValueInArray({Window::kOffline, Window::kMoshiStreaming, Window::kRust});
  options.block_frames = data.ConsumeIntegralInRange(1, 9);
  const auto samples = data.ConsumeIntegralInRange<std::uint64_t>(1, 2000);
  const auto [from, to] = choice.of(samples);
  const std::vector<Sample> whole = timeline(encoded(samples, options), options.levels);
  options.range = {.from_s = seconds(from), .to_s = seconds(to)};
  const std::vector<Sample> part = timeline(encoded(samples, options), options.levels);
  const auto at = [&](std::uint64_t sample) {
    return whole.begin() + static_cast<std::ptrdiff_t>(sample);
  };
  if (whole.size() != samples || !std::equal(part.begin(), part.end(), at(from), at(to))) {
    std::abort();
  }
}

void check(std::span<const std::uint8_t> input) {
  hush();
  FuzzedDataProvider data(input.data(), input.size());
  if (data.ConsumeIntegralInRange(0, 3) == 0) {
    check_encoded(data);
  } else {
    check_decoded(data);
  }
}

}  // namespace
}  // namespace mimi::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size <= 128) mimi::test::check({data, size});
  return 0;
}
