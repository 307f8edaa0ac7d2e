#include "core/token_edit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <variant>

#include "tests/files.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

Bytes cut(const Bytes& file, const TokenCut& options) {
  Bytes part;
  TokenReader reader(source_of(file));
  cut_tokens(reader, options, sink_to(part));
  return part;
}

// A file's frames as a decoder sees them: of each sample of its line of time, which frame of which
// codes gives it, at which place of the frame, and at which position of the stream.
struct Sample {
  Codes codes;  // empty: lost
  int place;
  std::uint32_t position;
  bool operator==(const Sample&) const = default;
};

std::vector<Sample> timeline(const Bytes& file, int levels) {
  std::vector<Sample> samples;
  TokenReader reader(source_of(file));
  const TokenHeader header = reader.header();
  std::size_t dropped = 0;
  std::uint32_t position = 0;
  const auto add = [&](const Codes& codes, int padding) {
    for (int place = 0; place < header.frame_samples - padding; ++place) {
      if (dropped > 0) {
        --dropped;
      } else {
        samples.push_back({codes, place, position});
      }
    }
    ++position;
  };
  while (const auto record = reader.next()) {
    if (const auto* start = std::get_if<TokenSegment>(&*record)) {
      dropped = start->lead_in_samples;
      position = start->origin_frame;
    } else if (const auto* gap = std::get_if<TokenGap>(&*record)) {
      for (std::uint32_t i = 0; i < gap->frames; ++i) {
        add({}, i + 1 == gap->frames ? gap->padding_samples : 0);
      }
    } else if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      const std::size_t width = header.frame_codes();
      for (int i = 0; i < block->frames; ++i) {
        Codes codes;
        for (int stream = 0; stream < header.streams; ++stream) {
          const auto* first = block->codes.data() + static_cast<std::size_t>(i) * width +
                              static_cast<std::size_t>(stream * header.levels);
          codes.insert(codes.end(), first, first + levels);
        }
        add(codes, i + 1 == block->frames ? block->padding_samples : 0);
      }
    }
  }
  return samples;
}

// Two segments as segmented_file() has, but with frames of 7 samples, so that every cut can be
// tried.
Bytes small_frames() {
  TokenHeader header = made_up_header();
  header.levels = 3;
  header.streams = 2;
  header.frame_samples = 7;
  header.sample_rate_hz = 100;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 2);
  writer.begin_segment({.source_rate_hz = 300});
  writer.write(made_up_codes(6 * 5, 2048), 6);
  writer.end_segment(87);
  writer.begin_segment({.origin_frame = 1000, .lead_in_samples = 15, .source_rate_hz = 50});
  writer.write(made_up_codes(6 * 4, 2048));
  writer.write_gap({.blocks = 2, .frames = 4});
  writer.write(made_up_codes(6 * 3, 2048), 1);
  writer.end_segment(31);
  writer.begin_segment();
  writer.write(made_up_codes(6 * 2, 2048));
  writer.write_gap({.blocks = 1, .frames = 2, .padding_samples = 3});
  writer.end_segment();
  writer.finish();
  return file;
}

TEST_CASE("a part has the samples of the whole, wherever it is cut") {
  const Bytes file = small_frames();
  const std::vector<Sample> all = timeline(file, 2);
  const std::uint64_t total = all.size();
  REQUIRE(total == 5 * 7 - 6 + 11 * 7 - 15 - 1 + 4 * 7 - 3);
  for (std::uint64_t from = 0; from < total; ++from) {
    for (std::uint64_t to = from + 1; to <= total; ++to) {
      CAPTURE(from);
      CAPTURE(to);
      const Bytes part = cut(file, {.from_sample = from, .to_sample = to, .levels = 2});
      const std::vector<Sample> samples = timeline(part, 2);
      REQUIRE(std::equal(samples.begin(), samples.end(),
                         all.begin() + static_cast<std::ptrdiff_t>(from),
                         all.begin() + static_cast<std::ptrdiff_t>(to)));
    }
  }
}

TEST_CASE("a lead-in holds the frames before the part, as far as its segment has them") {
  const Codes codes = made_up_codes(8 * 40, 2048);
  const Bytes file = token_file(made_up_header(), codes, 7);
  for (std::uint32_t lead = 0; lead < 40; ++lead) {
    CAPTURE(lead);
    const Bytes part = cut(file, {.from_sample = 20 * 1920 + 5, .lead_in_frames = lead});
    const std::uint32_t kept = std::min<std::uint32_t>(lead, 20);
    TokenReader reader(source_of(part));
    const auto segment = std::get<TokenSegment>(*reader.next());
    CHECK(segment.origin_frame == 20 - kept);
    CHECK(segment.lead_in_samples == kept * 1920 + 5);
    const auto block = std::get<TokenBlock>(*reader.next());
    CHECK(block.codes[0] == codes[8 * (20 - kept)]);
    CHECK(read_token_info(source_of(part)).totals.frames == 20 + kept);
  }
}

TEST_CASE("a part of all is the file itself") {
  CHECK(cut(example_file(), {.block_frames = 2}) == example_file());
  CHECK(cut(segmented_file(), {.block_frames = 4}) == segmented_file());
  const Bytes empty = token_file(made_up_header(), {}, 1);
  CHECK(cut(empty, {}) == empty);
}

TEST_CASE("the source's samples of the parts are those of the whole") {
  const Bytes file = small_frames();
  const std::uint64_t total = read_token_info(source_of(file)).totals.samples;
  const auto source_samples = [](const Bytes& part) {
    std::uint64_t sum = 0;
    for (const auto& segment : read_token_info(source_of(part)).segments) {
      sum += segment.end.source_samples;
    }
    return sum;
  };
  for (std::uint64_t at = 1; at < total; ++at) {
    CAPTURE(at);
    CHECK(source_samples(cut(file, {.to_sample = at})) +
              source_samples(cut(file, {.from_sample = at})) ==
          87 + 31);
  }
}

TEST_CASE("a part that is not there is an error") {
  const Bytes file = example_file();
  const auto error = [&](const TokenCut& options) { return error_of([&] { cut(file, options); }); };
  CHECK(error({.levels = 3}) == "has 2 levels, 3 are asked for");
  CHECK(error({.to_sample = 5250}) == "no error");
  CHECK(error({.to_sample = 5251}) == "ends at 0.219 s, the part reaches 0.219 s");
  CHECK(error({.from_sample = 5249}) == "no error");
  CHECK(error({.from_sample = 5250}) == "ends at 0.219 s, the part reaches 0.219 s");
  CHECK(error({.from_sample = 24000, .to_sample = 48000}) ==
        "ends at 0.219 s, the part reaches 2.000 s");
  CHECK(error({.from_sample = 5, .to_sample = 5}) == "the part is empty");
  // What is damaged behind the part is found as well.
  Bytes damaged = file;
  damaged.back() ^= std::byte{1};
  CHECK(error_of([&] { cut(damaged, {.to_sample = 1}); }) != "no error");
}

TEST_CASE("positions at another rate are rounded to the nearest") {
  CHECK(sample_at_rate(0, 24000, 44100) == 0);
  CHECK(sample_at_rate(1, 24000, 12000) == 1);
  CHECK(sample_at_rate(24000, 24000, 44100) == 44100);
  CHECK(sample_at_rate((std::uint64_t{1} << 53) - 1, 2147483647, 4294967295) ==
        18014398513676286ULL);
}

Bytes joined(const std::vector<Bytes>& files) {
  TokenReader first(source_of(files[0])), second(source_of(files[1]));
  Bytes out;
  TokenWriter writer(sink_to(out), joined_header(first.header(), second.header()), 4);
  append_tokens(first, writer);
  append_tokens(second, writer);
  writer.finish();
  return out;
}

TEST_CASE("joined files have all segments of both") {
  const Bytes both = joined({segmented_file(), segmented_file()});
  const TokenFileInfo info = read_token_info(source_of(both));
  CHECK(info.segments.size() == 4);
  CHECK(info.gaps.size() == 2);
  CHECK(info.segments[3].start.origin_frame == 1000);
  CHECK(info.segments[3].end.source_samples == 6400);
  std::vector<Sample> twice = timeline(segmented_file(), 3);
  const std::size_t half = twice.size();
  twice.resize(2 * half);
  std::copy_n(twice.begin(), half, twice.begin() + static_cast<std::ptrdiff_t>(half));
  CHECK(timeline(both, 3) == twice);
}

TEST_CASE("only files of one model, coded alike, are joined") {
  const TokenHeader header = made_up_header();
  const auto refusal = [&](auto change) {
    TokenHeader other = header;
    change(other);
    return error_of([&] { joined_header(header, other); });
  };
  CHECK(refusal([](TokenHeader&) {}) == "no error");
  CHECK(refusal([](TokenHeader& h) { h.model_name = "another"; }) == "no error");
  CHECK(refusal([](TokenHeader& h) { h.model_fingerprint = 1; }) ==
        "was encoded with the model 'kyutai/mimi' (fingerprint 00000001), expected 'kyutai/mimi' "
        "(fingerprint 12345678)");
  CHECK(refusal([](TokenHeader& h) { h.levels = 7; }) == "level count is 7, expected 8");
  CHECK(refusal([](TokenHeader& h) { h.streams = 2; }) == "stream count is 2, expected 1");
  CHECK(refusal([](TokenHeader& h) { h.sample_rate_hz = 1; }) ==
        "sample rate is 1, expected 24000");
  CHECK(refusal([](TokenHeader& h) { h.frame_samples = 1; }) ==
        "count of samples in a frame is 1, expected 1920");
  CHECK(refusal([](TokenHeader& h) { h.codebook_size = 2; }) ==
        "codebook size is 2, expected 2048");
  CHECK(refusal([](TokenHeader& h) { h.window = Window::kRust; }) ==
        "window rule is rust, expected offline");
  CHECK(refusal([](TokenHeader& h) { h.dtype = TokenDtype::kBf16; }) ==
        "arithmetic is bf16 number 1, expected f32 number 1");
  CHECK(refusal([](TokenHeader& h) { h.arithmetic = 2; }) ==
        "arithmetic is f32 number 2, expected f32 number 1");
}

TEST_CASE("a joined header keeps what both know") {
  TokenHeader first = made_up_header(), second = first;
  first.source_rate_hz = second.source_rate_hz = 8000;
  first.source_samples = 5;
  second.source_samples = 6;
  first.text = {{"a", "1"}, {"b", "2"}};
  second.text = {{"a", "1"}, {"b", "3"}};
  const TokenHeader both = joined_header(first, second);
  CHECK(both.source_samples == 11);
  CHECK(both.text.size() == 3);
  second.source_samples.reset();
  CHECK_FALSE(joined_header(first, second).source_samples);
  second.source_samples = 6;
  second.source_rate_hz = 16000;
  CHECK_FALSE(joined_header(first, second).source_samples);
  CHECK(joined_header(first, second).source_rate_hz == 0);
}

}  // namespace
}  // namespace mimi::test
