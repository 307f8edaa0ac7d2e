#include "core/token_edit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "tests/files.h"
#include "tests/token_parts.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

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

TEST_CASE("a lead-in has no more samples than can be written") {
  TokenHeader header = made_up_header();
  header.levels = 1;
  header.frame_samples = 65535;
  const Bytes file = token_file(header, made_up_codes(65600, 2048), kMaxBlockFrames);
  const std::uint64_t from = 65599ULL * 65535 + 7;
  const Bytes part = cut(file, {.from_sample = from, .lead_in_frames = 4294967295});
  CHECK(sample_count(part) == 65535 - 7);
  TokenReader reader(source_of(part));
  CHECK(std::get<TokenSegment>(*reader.next()).lead_in_samples == 65536ULL * 65535 + 7);
}

TEST_CASE("a part of all is the file itself") {
  CHECK(cut(example_file(), {.block_frames = 2}) == example_file());
  CHECK(cut(segmented_file(), {.block_frames = 4}) == segmented_file());
  const Bytes empty = token_file(made_up_header(), {}, 1);
  CHECK(cut(empty, {}) == empty);
}

TEST_CASE("a segment without samples keeps its source's") {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 48000;
  header.source_samples = 5;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 4);
  writer.begin_segment({.lead_in_samples = 1920});
  writer.write(made_up_codes(8, 2048));
  writer.end_segment(5);
  writer.finish();
  CHECK(cut(file, {.block_frames = 4}) == file);
}

TEST_CASE("as many lost frames as can be are cut") {
  for (const std::uint32_t frames : {4294967295U, 4294967171U}) {
    Bytes file;
    TokenWriter writer(sink_to(file), made_up_header());
    writer.begin_segment();
    writer.write_gap({.blocks = frames, .frames = frames});
    writer.end_segment();
    writer.finish();
    CHECK(cut(file, {}) == file);
    CHECK(sample_count(cut(file, {.from_sample = 1})) == frames * std::uint64_t{1920} - 1);
  }
}

TEST_CASE("the source's samples of the parts are those of the whole") {
  const Bytes file = small_frames();
  const std::uint64_t total = read_token_info(source_of(file)).totals.samples;
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
  CHECK(sample_at_rate(1ULL << 48, 100, 4294967295) == 18446744073709551615ULL);
  CHECK(sample_at_rate(1ULL << 63, 1, 2) == 18446744073709551615ULL);
  CHECK(sample_at_rate((1ULL << 63) - 1, 1, 2) == 18446744073709551614ULL);
  CHECK(sample_at_rate(18446744073709551615ULL, 1, 0) == 0);
}

TEST_CASE("joined files have all segments of both") {
  const Bytes both = joined(segmented_file(), segmented_file(), 4);
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

TEST_CASE("texts that no header has room for are not joined") {
  TokenHeader first = made_up_header(), second = first;
  for (int i = 0; i < 5000; ++i) {
    first.text.emplace_back("a", std::to_string(i));
    second.text.emplace_back("b", std::to_string(i));
  }
  CHECK(joined_header(first, first).text.size() == 5000);
  CHECK(error_of([&] { joined_header(first, second); }) ==
        "header with its text has 77830 bytes, expected at most 65535");
}

}  // namespace
}  // namespace mimi::test
