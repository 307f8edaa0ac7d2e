#include "core/record_finder.h"
#include "core/token_rescue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tests/files.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

struct Rescued {
  Bytes file;
  TokenRescue report;
};

Rescued rescue(std::span<const std::byte> file) {
  Rescued rescued;
  rescued.report = rescue_tokens(file, sink_to(rescued.file));
  return rescued;
}

// No code has this value.
constexpr std::uint16_t kLost = 65535;

// All codes, those of lost frames being kLost. Fails where the file is not whole.
Codes codes_of(const Bytes& file) {
  Codes codes;
  TokenReader reader(source_of(file));
  while (const auto record = reader.next()) {
    if (const auto* gap = std::get_if<TokenGap>(&*record)) {
      codes.insert(codes.end(), gap->frames * reader.header().frame_codes(), kLost);
    } else if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      codes.insert(codes.end(), block->codes.begin(), block->codes.end());
    }
  }
  return codes;
}

// 30 s of 8 levels in 15 blocks, 512 samples of padding.
Bytes half_a_minute() {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 24000;
  header.source_samples = 375 * 1920 - 512;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 25);
  writer.begin_segment();
  writer.write(made_up_codes(375 * 8, 2048), 512);
  writer.end_segment(375 * 1920 - 512);
  writer.finish();
  return file;
}

// Where each block's record stands, and which of all codes it has.
struct Place {
  std::size_t begin, end;
  std::size_t first_code, codes;
};
std::vector<Place> block_places(const Bytes& file) {
  std::vector<Place> places;
  TokenReader reader(source_of(file));
  while (const auto record = reader.next()) {
    const auto end = static_cast<std::size_t>(reader.offset());
    if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      const std::size_t bytes = 10 + block_payload_bytes(reader.header(), block->frames);
      const std::size_t first_code = block->first_frame * reader.header().frame_codes();
      places.push_back({end - bytes, end, first_code, block->codes.size()});
    }
  }
  return places;
}

// All codes but those of the block that has the byte `hit`.
Codes without_block(Codes codes, const std::vector<Place>& blocks, std::size_t hit) {
  for (const Place& block : blocks) {
    if (hit < block.begin || hit >= block.end) continue;
    std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(block.first_code), block.codes, kLost);
  }
  return codes;
}

TEST_CASE("of a whole file everything is saved") {
  for (const Bytes& file :
       {example_file(), segmented_file(), half_a_minute(), token_file(made_up_header(), {}, 125)}) {
    const Rescued rescued = rescue(file);
    CHECK(rescued.file == file);
    CHECK(rescued.report.has_header);
    CHECK(rescued.report.lost.empty());
    CHECK(rescued.report.foreign_records + rescued.report.lost_segments +
              rescued.report.lost_ends ==
          0);
  }
}

TEST_CASE("any flipped bit of 30 s is found, and every other block is saved") {
  Bytes file = half_a_minute();
  const Codes codes = codes_of(file);
  const std::vector<Place> blocks = block_places(file);
  REQUIRE(blocks.size() == 15);
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    CAPTURE(bit);
    const auto flip = static_cast<std::byte>(1U << (bit % 8));
    file[bit / 8] ^= flip;
    REQUIRE(error_of([&] { read_token_info(source_of(file)); }) != "no error");
    const Rescued rescued = rescue(file);
    REQUIRE(codes_of(rescued.file) == without_block(codes, blocks, bit / 8));
    REQUIRE(rescued.report.totals.samples == 375 * 1920 - 512);
    REQUIRE(rescued.report.totals.source_samples == 375 * 1920 - 512);
    file[bit / 8] ^= flip;
  }
}

TEST_CASE("any flipped bit of several segments leaves every other block in its place") {
  Bytes file = segmented_file();
  const Codes codes = codes_of(file);
  const std::vector<Place> blocks = block_places(file);
  const std::uint64_t samples = read_token_info(source_of(file)).totals.samples;
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    CAPTURE(bit);
    const auto flip = static_cast<std::byte>(1U << (bit % 8));
    file[bit / 8] ^= flip;
    const Rescued rescued = rescue(file);
    REQUIRE(codes_of(rescued.file) == without_block(codes, blocks, bit / 8));
    REQUIRE(rescued.report.totals.segments == 2);
    REQUIRE(rescued.report.totals.samples == samples);
    file[bit / 8] ^= flip;
  }
}

TEST_CASE("a file cut off at any byte is found, and every whole block of it is saved") {
  const Bytes file = half_a_minute();
  const Codes codes = codes_of(file);
  const std::vector<Place> blocks = block_places(file);
  const std::size_t header_end = 9 + 10 + 37 + 11 + 2;  // signature, record, fields, name, texts
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const Bytes left(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    REQUIRE(error_of([&] { read_token_info(source_of(left)); }) != "no error");
    if (size < header_end) {
      REQUIRE(error_of([&] { rescue(left); }) ==
              "holds neither a whole header nor a whole block of a .mimi file");
      continue;
    }
    std::size_t whole = 0;
    for (const Place& block : blocks) {
      if (block.end <= size) whole = block.first_code + block.codes;
    }
    const Codes saved = codes_of(rescue(left).file);
    REQUIRE(saved.size() >= whole);
    REQUIRE(std::equal(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(whole),
                       codes.begin()));
    // The end of the segment tells how much was there, and so does the header.
    REQUIRE(saved.size() == codes.size());
    for (std::size_t i = whole; i < saved.size(); ++i) REQUIRE(saved[i] == kLost);
  }
}

TEST_CASE("of a file that was cut off, what its header leaves is lost, or else nobody knows what") {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 16000;
  const auto cut_off = [&](std::optional<std::uint64_t> source_samples) {
    header.source_samples = source_samples;
    Bytes file;
    TokenWriter writer(sink_to(file), header, 2);
    writer.begin_segment({.lead_in_samples = 1000});
    writer.write(made_up_codes(4 * 8, 2048));
    return rescue(file);
  };
  // 8603 samples at 24 kHz, behind the lead-in: a frame and three samples more than what is there.
  const Rescued known = cut_off(5735);
  REQUIRE(known.report.lost.size() == 1);
  CHECK(known.report.lost[0].first_frame == 4);
  CHECK(known.report.lost[0].frames == 2);
  CHECK(known.report.cut_at.empty());
  CHECK(known.report.totals.samples == 5 * 1920 + 3 - 1000);
  CHECK(known.report.totals.source_samples == 5735);
  // All that the header promises is there.
  const Rescued all = cut_off((4 * 1920 - 1000) * 2 / 3);
  CHECK(all.report.lost.empty());
  CHECK(all.report.cut_at.empty());
  // Nothing is promised, or more than there can be.
  header.sample_rate_hz = 2147483647;
  for (const auto promise : {std::optional<std::uint64_t>(), std::optional(kMaxTokenSamples)}) {
    const Rescued unknown = cut_off(promise);
    CHECK(unknown.report.lost.empty());
    CHECK(unknown.report.cut_at == std::vector<std::uint32_t>{4});
    CHECK(unknown.report.totals.frames == 4);
    CHECK(unknown.report.totals.source_samples < 10);
  }
}

TEST_CASE("a segment of which nothing is left is lost where the header counts it") {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 24000;
  header.source_samples = 2 * 3 * 1920 - 7;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 2);
  const Bytes none = file;
  writer.begin_segment();
  writer.write(made_up_codes(3 * 8, 2048));
  writer.end_segment(3 * 1920);
  const Rescued second = rescue(file);
  CHECK(second.report.totals.segments == 2);
  CHECK(second.report.totals.samples == 2 * 3 * 1920 - 7);
  REQUIRE(second.report.lost.size() == 1);
  CHECK(second.report.lost[0].first_frame == 3);
  const Rescued both = rescue(none);
  CHECK(both.report.totals.samples == 2 * 3 * 1920 - 7);
  REQUIRE(both.report.lost.size() == 1);
  CHECK(both.report.lost[0].blocks == 1);
  // A padded segment that lacks its end takes no more frames.
  const Codes codes = made_up_codes(8, 2048);
  const Bytes start = make_record(RecordType::kSegment, pack_segment({.source_rate_hz = 24000}));
  const Bytes block = make_record(
      RecordType::kBlock, pack_block(header, {.frames = 1, .padding_samples = 9, .codes = codes}));
  Bytes padded = none;
  padded.insert(padded.end(), start.begin(), start.end());
  padded.insert(padded.end(), block.begin(), block.end());
  CHECK(rescue(padded).report.cut_at == std::vector<std::uint32_t>{1});
}

TEST_CASE("a run of damage costs the blocks that it touches") {
  const Bytes file = half_a_minute();
  const Codes codes = codes_of(file);
  const std::vector<Place> blocks = block_places(file);
  // Bytes that are zeroed, from the middle of block 3 to that of block 6.
  Bytes damaged = file;
  std::fill(damaged.begin() + static_cast<std::ptrdiff_t>(blocks[3].begin + 40),
            damaged.begin() + static_cast<std::ptrdiff_t>(blocks[6].begin + 40), std::byte{0});
  const Rescued zeroed = rescue(damaged);
  REQUIRE(zeroed.report.lost.size() == 1);
  CHECK(zeroed.report.lost[0].first_frame == 75);
  CHECK(zeroed.report.lost[0].frames == 100);
  CHECK(zeroed.report.lost[0].blocks == 4);
  CHECK(zeroed.report.saved_blocks == 11);
  // The same bytes missing.
  damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(blocks[3].begin + 40),
                damaged.begin() + static_cast<std::ptrdiff_t>(blocks[6].begin + 40));
  CHECK(rescue(damaged).file == zeroed.file);
  // Of the damaged and repaired file, repair finds nothing more.
  const Rescued again = rescue(zeroed.file);
  CHECK(again.file == zeroed.file);
  CHECK(again.report.lost.empty());
}

TEST_CASE("frames that only the file's end tells of are lost ones") {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 24000;
  Bytes file;
  TokenWriter writer(sink_to(file), header, 25);
  const Codes codes = made_up_codes(50 * 8, 2048);
  const auto write_segment = [&] {
    writer.begin_segment();
    writer.write(codes, 512);
  };
  write_segment();
  const std::size_t first = file.size();
  writer.end_segment(50 * 1920 - 512);
  write_segment();
  writer.end_segment(50 * 1920 - 512);
  const std::size_t second = file.size();
  writer.finish();

  // The first segment's end, and all of the second.
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(first),
            file.begin() + static_cast<std::ptrdiff_t>(second), std::byte{0});
  const Rescued one = rescue(file);
  REQUIRE(one.report.lost.size() == 1);
  CHECK(one.report.lost[0].first_frame == 50);
  CHECK(one.report.lost[0].frames == 50);
  CHECK(one.report.lost_segments == 1);
  CHECK(codes_of(one.file).size() == 2 * codes.size());
  // And all of the first.
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(first) / 2,
            file.begin() + static_cast<std::ptrdiff_t>(first), std::byte{0});
  CHECK(codes_of(rescue(file).file).size() == 2 * codes.size());
}

TEST_CASE("the second header serves where the first is lost, and blocks where both are") {
  Bytes file = half_a_minute();
  const Codes codes = codes_of(file);
  std::fill_n(file.begin(), 40, std::byte{0x55});
  const Rescued one_lost = rescue(file);
  CHECK(one_lost.file == half_a_minute());
  CHECK(one_lost.report.has_header);
  std::fill_n(file.end() - 100, 20, std::byte{0x55});
  const Rescued both_lost = rescue(file);
  CHECK_FALSE(both_lost.report.has_header);
  CHECK(codes_of(both_lost.file) == codes);
  const TokenHeader header = read_token_info(source_of(both_lost.file)).header;
  CHECK(header.levels == 8);
  CHECK(header.codebook_size == 2048);
  CHECK(header.sample_rate_hz == 24000);
  CHECK(header.model_fingerprint == 0);
  CHECK(both_lost.report.totals.samples == 375 * 1920 - 512);
}

// Made with its version or its window rule changed.
Bytes of_another_kind(std::size_t place, int value) {
  const Bytes file = half_a_minute();
  Bytes changed(file.begin(), file.begin() + kTokenSignature.size());
  for (const WholeRecord& record : find_records(file)) {
    Bytes payload(record.payload.begin(), record.payload.end());
    if (record.type == RecordType::kHeader) payload[place] = static_cast<std::byte>(value);
    const Bytes made = make_record(record.type, payload);
    changed.insert(changed.end(), made.begin(), made.end());
  }
  return changed;
}

TEST_CASE("a file that no reader may take is not made one that it takes") {
  const std::string version = "file is of version 2, this program reads version 1";
  CHECK(error_of([] { rescue(of_another_kind(0, 2)); }) == version);
  CHECK(error_of([] { rescue(of_another_kind(17, 3)); }) ==
        "window rule is number 3, expected 0 to 2");
  // One of the two that can be read is enough.
  Bytes one = half_a_minute();
  const Bytes other = of_another_kind(0, 2);
  std::copy_n(other.begin(), 100, one.begin());
  CHECK(rescue(one).file == half_a_minute());
}

TEST_CASE("whole records of types that this version does not have are left out, and told of") {
  Bytes file = half_a_minute();
  for (const char type : {'x', 'X', 'S'}) {
    const Bytes record = make_record(static_cast<RecordType>(type), Bytes(5));
    file.insert(file.end() - 66, record.begin(), record.end());
  }
  CHECK(rescue(file).file == half_a_minute());
  CHECK(rescue(file).report.foreign_records == 2);
}

Bytes run_together(const std::vector<Bytes>& files) {
  Bytes all;
  for (const Bytes& file : files) all.insert(all.end(), file.begin(), file.end());
  return all;
}

TEST_CASE("of files that were run together, those that fit the first follow it") {
  const Bytes file = half_a_minute();
  const Codes codes = codes_of(file);
  Codes twice = codes;
  twice.insert(twice.end(), codes.begin(), codes.end());
  const Rescued both = rescue(run_together({file, file}));
  CHECK(codes_of(both.file) == twice);
  CHECK(both.report.foreign_records == 0);
  CHECK(both.report.lost.empty());
  const TokenFileInfo info = read_token_info(source_of(both.file));
  CHECK(info.header.source_samples == 2 * (375 * 1920 - 512));
  CHECK(info.totals.segments == 2);

  SUBCASE("the first of which was cut off") {
    const std::vector<Place> blocks = block_places(file);
    const Bytes part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(blocks[9].begin));
    const Rescued cut = rescue(run_together({part, file}));
    std::fill_n(twice.begin() + 9 * 25 * 8, 6 * 25 * 8, kLost);
    CHECK(codes_of(cut.file) == twice);
    CHECK(cut.report.saved_blocks == 24);
    CHECK(cut.report.foreign_records == 0);
  }
  SUBCASE("of another model") {
    TokenHeader other = made_up_header();
    other.model_fingerprint = 5;
    const Bytes strange = token_file(other, codes, 25);
    const Rescued rescued = rescue(run_together({file, strange, file}));
    CHECK(rescued.file == both.file);
    CHECK(rescued.report.foreign_records == 21);
    CHECK(rescued.report.foreign_blocks == 15);
    CHECK(rescue(run_together({strange, file})).file == strange);
  }
  SUBCASE("of another version") {
    CHECK(rescue(run_together({file, of_another_kind(0, 2)})).report.foreign_blocks == 15);
  }
  SUBCASE("of which the first has neither a header nor a block") {
    const Rescued rescued = rescue(run_together({{file.end() - 66, file.end()}, file}));
    CHECK(rescued.file == file);
    CHECK(rescued.report.foreign_records == 1);
  }
  SUBCASE("of which the second has lost its beginning") {
    const Rescued rescued = rescue(run_together({file, {file.begin() + 9, file.end()}}));
    CHECK(rescued.file == file);
    CHECK(rescued.report.foreign_blocks == 15);
  }
}

TEST_CASE("files that are too long together are not put together") {
  TokenHeader header = made_up_header();
  const auto lost = [&](std::uint32_t frames, std::uint64_t source_samples) {
    Bytes file;
    TokenWriter writer(sink_to(file), header);
    writer.begin_segment();
    if (frames > 0) writer.write_gap({.blocks = frames, .frames = frames});
    writer.end_segment(source_samples);
    writer.finish();
    return file;
  };
  CHECK(rescue(run_together({lost(1, 0), lost(4294967294, 0)})).report.foreign_records == 0);
  CHECK(rescue(run_together({lost(2, 0), lost(4294967294, 0)})).report.foreign_records == 7);
  header.source_rate_hz = 8000;
  const std::uint64_t half = kMaxTokenSamples / 2;
  CHECK(rescue(run_together({lost(0, half), lost(0, half + 1)})).report.foreign_records == 0);
  CHECK(rescue(run_together({lost(0, half), lost(0, half + 2)})).report.foreign_records == 6);
}

// A file of a header and forged records, numbers that nothing but a checksum vouches for.
Bytes forged_file(const TokenHeader& header, const std::vector<Bytes>& records) {
  Bytes file = make_record(RecordType::kHeader, pack_header(header));
  for (const Bytes& record : records) file.insert(file.end(), record.begin(), record.end());
  return file;
}
Bytes segment(const TokenSegment& values) {
  return make_record(RecordType::kSegment, pack_segment(values));
}
Bytes gap(const TokenGap& values) { return make_record(RecordType::kGap, pack_gap(values)); }
Bytes end(const TokenSegmentEnd& values) {
  return make_record(RecordType::kSegmentEnd, pack_segment_end(values));
}

TEST_CASE("forged records give a whole file or an error") {
  const TokenHeader header = made_up_header();
  const auto forged = [&](const std::vector<Bytes>& records) {
    return codes_of(rescue(forged_file(header, records)).file).size() / header.frame_codes();
  };
  const Codes codes = made_up_codes(8, 2048);
  const auto block = [&](TokenBlock values) {
    values.frames = 1;
    values.codes = codes;
    return make_record(RecordType::kBlock, pack_block(header, values));
  };
  CHECK(forged({}) == 0);
  CHECK(forged({end({.frames = 0, .samples = 0})}) == 0);
  CHECK(forged({segment({.lead_in_samples = 4294967295}), block({})}) == 1);
  CHECK(forged({segment({}), gap({.blocks = 0, .frames = 5})}) == 0);
  CHECK(forged({segment({}), gap({.blocks = 1, .frames = 3, .padding_samples = 65535})}) == 0);
  CHECK(forged({block({.padding_samples = 1}), block({.number = 1, .first_frame = 1})}) == 2);
  CHECK(forged({block({.padding_samples = 1}), block({.number = 9, .first_frame = 9})}) == 10);
  CHECK(forged({block({.number = 7, .first_frame = 1}), block({})}) == 2);
  CHECK(forged({end({.frames = 3, .samples = 1, .source_samples = 5})}) == 3);
  CHECK(forged({end({.frames = 3, .samples = 1ULL << 60})}) == 0);
  CHECK(forged({segment({.first_frame = 3}), block({.number = 1, .first_frame = 3})}) == 4);
  CHECK(forged({segment({.first_frame = 3}), segment({.first_frame = 3})}) == 3);
  Codes wrong = codes;
  wrong[3] = 2048;
  TokenHeader larger = header;
  larger.codebook_size = 4096;
  CHECK(forged({make_record(RecordType::kBlock,
                            pack_block(larger, {.frames = 1, .codes = wrong}))}) == 0);
  const auto frames_told = [&](const std::vector<Bytes>& records) {
    return rescue(forged_file(header, records)).report.totals.frames;
  };
  CHECK(frames_told({block({.first_frame = 4294967294})}) == 4294967295);
  CHECK(frames_told({block({.first_frame = 4294967295})}) == 0);
  CHECK(frames_told({block({.first_frame = 4294967294}), end({.frames = 4294967295})}) ==
        4294967295);
}

// Numbers at the end of their range: nothing may wrap around.
TEST_CASE("records with the largest numbers are saved or left out") {
  TokenHeader header = made_up_header();
  header.source_rate_hz = 4294967295;
  const auto rescued = [&](const std::vector<Bytes>& records) {
    return rescue(forged_file(header, records));
  };
  const std::uint32_t most = 4294967295;
  CHECK(rescued({segment({.number = most}), segment({.number = 0})}).report.foreign_records == 1);
  CHECK(rescued({segment({.number = most}), end({.number = most})}).report.foreign_records == 0);
  CHECK(rescued({end({.number = most}), end({.number = most})}).report.foreign_records == 1);
  CHECK(rescued({segment({}), gap({.first_block = most, .blocks = 1, .frames = 1})})
            .report.totals.frames == 1);
  // A lead-in that no number can hold, where the segment's record was lost.
  CHECK(rescued({end({.frames = most, .samples = 5})}).report.totals.frames == most);

  SUBCASE("source samples that are too many together") {
    const std::uint64_t many = kMaxTokenSamples - 1;
    const Rescued both = rescued({segment({}), end({.source_samples = many}),
                                  segment({.number = 1}), end({.number = 1, .source_samples = 9})});
    CHECK(both.report.foreign_records == 1);
    CHECK(read_token_info(source_of(both.file)).totals.source_samples == many);
  }
  SUBCASE("a guess of more source samples than there can be") {
    header.sample_rate_hz = 1;
    const Rescued longest = rescued({segment({}), gap({.blocks = most, .frames = most})});
    CHECK(longest.report.totals.source_samples == kMaxTokenSamples);
  }
  SUBCASE("source samples at rates that differ are not added up") {
    header.source_rate_hz = 0;
    const auto own = [&](std::uint32_t number) {
      return segment({.number = number, .source_rate_hz = 1});
    };
    const Rescued both = rescued({own(0), end({.source_samples = kMaxTokenSamples}), own(1),
                                  end({.number = 1, .source_samples = kMaxTokenSamples})});
    CHECK(both.report.foreign_records == 0);
    CHECK(both.report.lost_ends == 0);
  }
}

TEST_CASE("where a segment ends and the next begins was lost, no block is") {
  Bytes file;
  TokenWriter writer(sink_to(file), made_up_header(), 4);
  writer.begin_segment();
  writer.write(made_up_codes(8 * 8, 2048));
  const std::size_t end = file.size();
  writer.end_segment();
  writer.begin_segment();
  const std::size_t begin = file.size();
  writer.write(made_up_codes(8 * 4, 2048));
  writer.end_segment();
  writer.finish();
  const Codes codes = codes_of(file);
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(end),
            file.begin() + static_cast<std::ptrdiff_t>(begin), std::byte{0});
  const Rescued rescued = rescue(file);
  CHECK(rescued.report.saved_blocks == 3);
  CHECK(rescued.report.foreign_records == 0);
  CHECK(rescued.report.lost_ends == 1);
  CHECK(rescued.report.lost_segments == 1);
  CHECK(codes_of(rescued.file) == codes);
}

TEST_CASE("of an empty segment the end alone is enough") {
  Bytes file;
  TokenWriter writer(sink_to(file), made_up_header());
  const std::size_t begin = file.size();
  writer.begin_segment();
  const std::size_t end = file.size();
  writer.end_segment();
  writer.finish();
  Bytes damaged = file;
  std::fill(damaged.begin() + static_cast<std::ptrdiff_t>(begin),
            damaged.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  CHECK(rescue(damaged).file == file);
  CHECK(rescue(damaged).report.lost_segments == 1);
}

TEST_CASE("records are found in a time that grows with the length alone") {
  // At every sixth byte a record of 64 KB seems to begin.
  Bytes file;
  while (file.size() < (1U << 20)) {
    for (const int byte : {0xFE, 0x4D, 0x52, 0x42, 0xFF, 0xFF}) {
      file.push_back(static_cast<std::byte>(byte));
    }
  }
  CHECK(find_records(file).empty());
  CHECK(error_of([&] { rescue(file); }) ==
        "holds neither a whole header nor a whole block of a .mimi file");
}

}  // namespace
}  // namespace mimi::test
