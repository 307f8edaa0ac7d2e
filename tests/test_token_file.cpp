#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "core/byte_order.h"
#include "core/crc32c.h"
#include "core/token_file.h"
#include "core/token_record.h"
#include "tests/files.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

struct Content {
  Codes codes;
  std::vector<TokenRecord> records;  // without blocks
  std::vector<int> block_frames;
};

Content read_all(TokenReader& reader) {
  Content content;
  while (const auto record = reader.next()) {
    if (const auto* block = std::get_if<TokenBlock>(&*record)) {
      content.codes.insert(content.codes.end(), block->codes.begin(), block->codes.end());
      content.block_frames.push_back(block->frames);
    } else {
      content.records.push_back(*record);
    }
  }
  return content;
}

std::string read_error(std::span<const std::byte> file) {
  return error_of([&] {
    TokenReader reader(source_of(file));
    read_all(reader);
  });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_round_trip(const TokenHeader& header, std::size_t frames, int block_frames) {
  CAPTURE(header.levels);
  CAPTURE(header.streams);
  CAPTURE(header.codebook_size);
  CAPTURE(frames);
  CAPTURE(block_frames);
  const Codes codes = made_up_codes(frames * header.frame_codes(), header.codebook_size);
  const Bytes file = token_file(header, codes, block_frames);
  TokenReader reader(source_of(file));
  const Content content = read_all(reader);
  REQUIRE(content.codes == codes);
  REQUIRE(reader.offset() == file.size());
  const auto& totals = std::get<TokenTotals>(content.records.back());
  REQUIRE(totals.frames == frames);
  REQUIRE(totals.samples == frames * 1920);
  const auto step = static_cast<std::size_t>(block_frames);
  REQUIRE(content.block_frames.size() == (frames + step - 1) / step);
}

TEST_CASE("codes come back for every number of levels") {
  for (int levels = 1; levels <= kMaxTokenLevels; ++levels) {
    TokenHeader header = made_up_header();
    header.levels = levels;
    check_round_trip(header, 130, 125);
  }
}

TEST_CASE("codes come back for every codebook, stream count, block size and length") {
  for (const int codebook_size : {2, 3, 255, 1024, 1025, 2048, 65535, 65536}) {
    for (const int streams : {1, 2, 3}) {
      for (const int block_frames : {1, 7, 125}) {
        for (const std::size_t frames : {0U, 1U, 6U, 7U, 8U, 125U, 126U, 251U}) {
          TokenHeader header = made_up_header();
          header.levels = 3;
          header.streams = streams;
          header.codebook_size = codebook_size;
          check_round_trip(header, frames, block_frames);
        }
      }
    }
  }
}

TEST_CASE("a block that no record could hold is made smaller") {
  TokenHeader header = made_up_header();
  header.levels = kMaxTokenLevels;
  header.streams = kMaxTokenStreams;
  header.codebook_size = 65536;
  const Codes codes = made_up_codes(5 * header.frame_codes(), header.codebook_size);
  const Bytes file = token_file(header, codes, 125);
  TokenReader reader(source_of(file));
  const Content content = read_all(reader);
  CHECK(content.codes == codes);
  CHECK(content.block_frames == std::vector<int>{2, 2, 1});
}

TEST_CASE("the header comes back with all that it says") {
  TokenHeader header = made_up_header();
  header.sample_rate_hz = 2147483647;
  header.frame_samples = 65535;
  header.streams = 255;
  header.source_rate_hz = 4294967295;
  header.source_samples = 0;
  header.window = Window::kRust;
  header.dtype = TokenDtype::kInt8;
  header.arithmetic = 255;
  header.text = {{"title", ""}, {"title", "twice"}, {"\xF0\x9F\x8E\xA4", std::string(60000, 'x')}};
  const Bytes file = token_file(header, {}, 125);
  const TokenHeader found = TokenReader(source_of(file)).header();
  CHECK(found.sample_rate_hz == header.sample_rate_hz);
  CHECK(found.frame_samples == header.frame_samples);
  CHECK(found.levels == header.levels);
  CHECK(found.streams == header.streams);
  CHECK(found.codebook_size == header.codebook_size);
  CHECK(found.source_rate_hz == header.source_rate_hz);
  CHECK(found.source_samples == header.source_samples);
  CHECK(found.model_name == header.model_name);
  CHECK(found.model_fingerprint == header.model_fingerprint);
  CHECK(found.window == header.window);
  CHECK(found.dtype == header.dtype);
  CHECK(found.arithmetic == header.arithmetic);
  CHECK(found.text == header.text);
}

TEST_CASE("segments, gaps and totals come back, however the bytes arrive") {
  const Bytes file = segmented_file();
  for (const std::size_t piece : {1U, 3U, 1000000U}) {
    TokenReader reader(source_of(file, piece));
    const Content content = read_all(reader);
    REQUIRE(content.records.size() == 6);
    CHECK(std::get<TokenSegment>(content.records[0]) == TokenSegment{.source_rate_hz = 44100});
    CHECK(std::get<TokenSegmentEnd>(content.records[1]) ==
          TokenSegmentEnd{.number = 0, .frames = 5, .samples = 7681, .source_samples = 14112});
    CHECK(std::get<TokenSegment>(content.records[2]) == TokenSegment{.number = 1,
                                                                     .first_frame = 5,
                                                                     .origin_frame = 1000,
                                                                     .lead_in_samples = 3841,
                                                                     .source_rate_hz = 8000});
    CHECK(std::get<TokenGap>(content.records[3]) ==
          TokenGap{.first_block = 4, .blocks = 2, .first_frame = 11, .frames = 5});
    CHECK(std::get<TokenSegmentEnd>(content.records[4]) ==
          TokenSegmentEnd{.number = 1, .frames = 12, .samples = 19198, .source_samples = 6400});
    TokenTotals totals = std::get<TokenTotals>(content.records[5]);
    totals.codes_crc = 0;
    CHECK(totals == TokenTotals{.frames = 17,
                                .blocks = 5,
                                .segments = 2,
                                .gaps = 1,
                                .lost_frames = 5,
                                .samples = 7681 + 19198});
    CHECK(content.block_frames == std::vector<int>{4, 1, 4, 2, 1});
  }
}

TEST_CASE("the checksum of all codes does not depend on the blocks") {
  const Codes codes = made_up_codes(8 * 3000, 2048);
  Bytes little_endian;
  for (const std::uint16_t code : codes) append_little_endian(code, little_endian);
  for (const int block_frames : {1, 125}) {
    const Bytes file = token_file(made_up_header(), codes, block_frames);
    CHECK(read_token_info(source_of(file)).totals.codes_crc == crc32c(0, little_endian));
  }
}

TEST_CASE("info tells what a file holds") {
  const Bytes file = segmented_file();
  const TokenFileInfo info = read_token_info(source_of(file));
  CHECK(info.header.streams == 2);
  CHECK(info.totals.frames == 17);
  REQUIRE(info.segments.size() == 2);
  CHECK(info.segments[1].start.origin_frame == 1000);
  CHECK(info.segments[1].end.source_samples == 6400);
  REQUIRE(info.gaps.size() == 1);
  CHECK(info.gaps[0].frames == 5);
  CHECK(info.largest_block_frames == 4);
  CHECK(info.bytes == file.size());
  CHECK_THROWS_AS(read_token_info(source_of(std::span(file).first(200))), Error);
}

TEST_CASE("with one frame a block, a pipe's reader has each frame at once") {
  const Codes codes = made_up_codes(8 * 3, 2048);
  Bytes written;
  TokenWriter writer(sink_to(written), made_up_header(), 1);
  std::size_t taken = 0;
  TokenReader reader([&](std::span<std::byte> buffer) {
    const std::size_t count = std::min(written.size() - taken, buffer.size());
    std::copy_n(written.begin() + static_cast<std::ptrdiff_t>(taken), count, buffer.begin());
    taken += count;
    return count;
  });
  CHECK(taken == written.size());
  writer.begin_segment();
  CHECK(std::holds_alternative<TokenSegment>(reader.next().value()));
  for (std::size_t frame = 0; frame < 3; ++frame) {
    const auto one = std::span(codes).subspan(frame * 8, 8);
    writer.write(one, frame == 2 ? 5 : 0);
    const TokenRecord record = reader.next().value();
    const auto& block = std::get<TokenBlock>(record);
    CHECK(std::ranges::equal(block.codes, one));
    CHECK(block.padding_samples == (frame == 2 ? 5 : 0));
    CHECK(taken == written.size());
  }
}

TEST_CASE("an hour of 8 levels costs less than 2 % beyond its codes") {
  const std::size_t frames = 3600 * 25 / 2;
  const Bytes file = token_file(made_up_header(), Codes(frames * 8, 2047), 125);
  CHECK(file.size() * 100 < frames * 11 * 102);
}

struct Seeker {
  std::span<const std::byte> file;

  std::span<const std::byte> payload(std::uint64_t offset, RecordType type) const {
    const auto record = file.subspan(static_cast<std::size_t>(offset));
    REQUIRE(static_cast<RecordType>(record[3]) == type);
    return record.subspan(kRecordPrefixBytes, LittleEndianParser(record.subspan(4)).u16());
  }
};

TEST_CASE("the trailer and the index lead to every block") {
  // Frame counts that alternate make as many index entries as blocks: more than a record holds.
  const TokenHeader header = made_up_header();
  const Codes codes = made_up_codes(8 * 3 * 2500, 2048);
  Bytes file;
  TokenWriter writer(sink_to(file), header, 2);
  for (std::size_t first = 0; first < codes.size(); first += std::size_t{8} * 3) {
    writer.begin_segment();
    writer.write(std::span(codes).subspan(first, std::size_t{8} * 3));
    writer.end_segment();
  }
  writer.finish();

  const Seeker seek{file};
  const std::size_t trailer_bytes = kRecordPrefixBytes + kTotalsBytes + kRecordCrcBytes;
  const Trailer trailer =
      parse_trailer(seek.payload(file.size() - trailer_bytes, RecordType::kTotals));
  CHECK(parse_header(seek.payload(trailer.header_offset, RecordType::kHeader)).levels == 8);
  std::uint64_t entries = 0;
  std::vector<std::uint16_t> block_codes;
  Codes found;
  for (std::uint64_t at = trailer.index_offset; at < trailer.header_offset;) {
    const auto payload = seek.payload(at, RecordType::kIndex);
    for (LittleEndianParser parser(payload); parser.remaining() > 0; ++entries) {
      const auto type = static_cast<RecordType>(parser.u8());
      const int frames = parser.u8();
      parser.u16();
      const std::uint32_t number = parser.u32();
      const std::uint32_t count = parser.u32();
      const std::uint32_t first_frame = parser.u32();
      std::uint64_t offset = parser.u64();
      if (type != RecordType::kBlock) continue;
      for (std::uint32_t i = 0; i < count; ++i) {
        const TokenBlock block =
            parse_block(header, seek.payload(offset, RecordType::kBlock), block_codes);
        REQUIRE(block.number == number + i);
        REQUIRE(block.frames == frames);
        REQUIRE(block.first_frame == first_frame + i * static_cast<unsigned>(frames));
        found.insert(found.end(), block.codes.begin(), block.codes.end());
        offset += kRecordPrefixBytes + block_payload_bytes(header, frames) + kRecordCrcBytes;
      }
    }
    at += kRecordPrefixBytes + payload.size() + kRecordCrcBytes;
  }
  CHECK(entries == 7500);  // a segment, a block of 2 frames, a block of 1
  CHECK(found == codes);
  CHECK(read_error(file) == "no error");
}

TEST_CASE("runs of equal blocks are one entry, so that an index stays small") {
  const Bytes file = token_file(made_up_header(), Codes(8 * 100000, 1), 1);
  const Seeker seek{file};
  const Trailer trailer = parse_trailer(seek.payload(file.size() - 66, RecordType::kTotals));
  CHECK(seek.payload(trailer.index_offset, RecordType::kIndex).size() == 2 * kIndexEntryBytes);
}

TEST_CASE("the writer refuses what it cannot write") {
  const auto header_error = [](auto&& change) {
    TokenHeader header = made_up_header();
    change(header);
    return error_of([&] { token_file(header, {}, 125); });
  };
  CHECK(header_error([](TokenHeader& h) { h.levels = 65; }) ==
        "level count is 65, expected 1 to 64");
  CHECK(contains(header_error([](TokenHeader& h) { h.sample_rate_hz = -1; }), "sample rate is -1"));
  CHECK(contains(header_error([](TokenHeader& h) { h.codebook_size = 0; }), "codebook size is 0"));
  CHECK(contains(header_error([](TokenHeader& h) { h.source_samples = 1; }), "count but no rate"));
  CHECK(contains(header_error([](TokenHeader& h) { h.model_name = std::string(256, 'x'); }),
                 "has 256 bytes, expected 0 to 255"));
  CHECK(header_error([](TokenHeader& h) {
          h.text = {{"", "x"}};
        }) == "key '' has 0 bytes, expected 1 to 255");
  CHECK(header_error([](TokenHeader& h) {
          h.text = {{"x", "\xC3"}};
        }) == "value '\\xc3' is not UTF-8");
  CHECK(contains(header_error([](TokenHeader& h) {
                   h.text.assign(2, {"x", std::string(40000, 'x')});
                 }),
                 "expected at most 65535"));

  const auto write_error = [](auto&& actions) {
    Bytes out;
    TokenHeader header = made_up_header();
    header.source_rate_hz = 16000;
    header.source_samples = 1280;
    TokenWriter writer(sink_to(out), header);
    return error_of([&] { actions(writer); });
  };
  const Codes frame(8, 2047);
  CHECK(write_error([&](TokenWriter& w) { w.write(std::span(frame).first(7)); }) ==
        "7 codes are not whole frames of 8");
  CHECK(write_error([&](TokenWriter& w) { w.write(frame, 1); }) ==
        "frames stand outside of a segment");
  CHECK(write_error([&](TokenWriter& w) { w.write(frame); }) ==
        "frames stand outside of a segment");
  CHECK(write_error([&](TokenWriter& w) {
          w.begin_segment();
          w.end_segment(1280);
          w.write(frame);
        }) == "frames stand outside of a segment");
  CHECK(write_error([](TokenWriter& w) { w.write({}, 1); }) == "padding without a frame");
  CHECK(write_error([&](TokenWriter& w) {
          w.begin_segment();
          w.write(Codes(8, 2048), 1);
        }) == "code is 2048, expected less than 2048");
  CHECK(write_error([](TokenWriter& w) {
          w.begin_segment();
          w.finish();
        }) == "last segment has not ended");
  CHECK(write_error([](TokenWriter& w) { w.begin_segment({.source_rate_hz = 8000}); }) ==
        "source rate is 8000, expected 16000");
  CHECK(write_error([&](TokenWriter& w) {
          w.begin_segment();
          w.write(frame);
          w.end_segment(1279);
          w.finish();
        }) == "count of source samples is 1279, expected 1280");
  for (const int block_frames : {0, 126}) {
    CHECK(contains(error_of([&] { token_file(made_up_header(), {}, block_frames); }),
                   "expected 1 to 125"));
  }
}

TEST_CASE("the example in FORMAT.md is what the writer writes") {
  const std::string text = read_file(source_dir() / "core" / "FORMAT.md");
  const std::size_t example = text.find("## Example");
  REQUIRE(example != std::string::npos);
  // Lines of the example's code blocks: offset, then bytes of two digits, then what they are.
  Bytes bytes;
  bool in_code = false;
  std::istringstream lines(text.substr(example));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) in_code = !in_code;
    if (!in_code || line.size() < 6 || !std::isxdigit(static_cast<unsigned char>(line[0])))
      continue;
    CAPTURE(line);
    REQUIRE(std::stoul(line.substr(0, 4), nullptr, 16) == bytes.size());
    for (std::size_t at = 6; at + 1 < line.size() && line[at] != ' '; at += 3) {
      bytes.push_back(static_cast<std::byte>(std::stoul(line.substr(at, 2), nullptr, 16)));
    }
  }
  CHECK(bytes == example_file());
}

}  // namespace
}  // namespace mimi::test
