#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/byte_order.h"
#include "core/crc32c.h"
#include "core/token_file.h"
#include "core/token_record.h"
#include "tests/files.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

std::string read_error(std::span<const std::byte> file) {
  return error_of([&] { read_token_info(source_of(file)); });
}

void append(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// A file of which each part can be forged, its checksums being right.
struct Forgery {
  TokenHeader header = forged_header();
  Bytes header_payload = pack_header(header);
  std::vector<Bytes> content;
  std::vector<Bytes> index;
  Bytes second_header_payload = header_payload;
  Trailer trailer;

  static TokenHeader forged_header() {
    TokenHeader header = made_up_header();
    header.levels = 1;
    header.codebook_size = 1000;
    return header;
  }
  Bytes file() const {
    Bytes out;
    append(out, std::as_bytes(std::span(kTokenSignature)));
    append(out, make_record(RecordType::kHeader, header_payload));
    for (const Bytes& record : content) append(out, record);
    for (const Bytes& payload : index) append(out, make_record(RecordType::kIndex, payload));
    append(out, make_record(RecordType::kHeader, second_header_payload));
    append(out, make_record(RecordType::kTotals, pack_trailer(trailer)));
    return out;
  }
};

Bytes segment(const TokenSegment& values = {}) {
  return make_record(RecordType::kSegment, pack_segment(values));
}
Bytes segment_end(const TokenSegmentEnd& values) {
  return make_record(RecordType::kSegmentEnd, pack_segment_end(values));
}
Bytes gap(const TokenGap& values) { return make_record(RecordType::kGap, pack_gap(values)); }
Bytes block(const TokenHeader& header, TokenBlock values, const Codes& codes = {1}) {
  values.codes = codes;
  if (values.frames == 0) values.frames = 1;
  return make_record(RecordType::kBlock, pack_block(header, values));
}
Bytes raw(char type, std::size_t bytes) {
  return make_record(static_cast<RecordType>(type), Bytes(bytes));
}

std::string content_error(const std::vector<Bytes>& content) {
  Forgery forgery;
  forgery.content = content;
  return read_error(forgery.file());
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a file cut off at any byte is an error") {
  for (const Bytes& file : {example_file(), segmented_file()}) {
    CHECK(read_error(file) == "no error");
    for (std::size_t size = 0; size < file.size(); ++size) {
      CAPTURE(size);
      const std::string error = read_error(std::span(file).first(size));
      REQUIRE(
          has(error, size == 0 ? "file is empty" : "file ends at byte " + std::to_string(size)));
    }
  }
}

TEST_CASE("any flipped bit is an error") {
  for (Bytes file : {example_file(), segmented_file()}) {
    for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
      CAPTURE(bit);
      const auto flip = static_cast<std::byte>(1U << (bit % 8));
      file[bit / 8] ^= flip;
      REQUIRE(read_error(file) != "no error");
      file[bit / 8] ^= flip;
    }
  }
}

TEST_CASE("any removed, doubled or swapped pair of bytes is an error") {
  const Bytes file = segmented_file();
  for (std::size_t at = 0; at + 1 < file.size(); ++at) {
    CAPTURE(at);
    Bytes shorter = file;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(at));
    REQUIRE(read_error(shorter) != "no error");
    Bytes longer = file;
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(at), file[at]);
    REQUIRE(read_error(longer) != "no error");
    Bytes swapped = file;
    std::swap(swapped[at], swapped[at + 1]);
    if (swapped != file) REQUIRE(read_error(swapped) != "no error");
  }
}

TEST_CASE("errors say where and what") {
  Bytes file = example_file();
  CHECK(read_error(std::span(file).first(4)) == "file ends at byte 4, within its signature");
  file.push_back(std::byte{0});
  CHECK(read_error(file) ==
        "bytes follow the end of the file at byte " + std::to_string(file.size() - 1));
  file.pop_back();
  Bytes twice = file;
  append(twice, file);
  CHECK(read_error(twice) ==
        "bytes follow the end of the file at byte " + std::to_string(file.size()));

  // The second block follows the first, whose payload has 14 + 6 bytes.
  const auto sync =
      std::as_bytes(std::span("\xFE"
                              "MRB",
                              4));
  const auto first = std::search(file.begin(), file.end(), sync.begin(), sync.end()) - file.begin();
  const std::ptrdiff_t second = first + 30;
  const std::string place = "block 1 at byte " + std::to_string(second);
  CHECK(read_error(std::span(file).first(static_cast<std::size_t>(second) + 12)) ==
        "file ends at byte " + std::to_string(second + 12) + ", within " + place + " of 27 bytes");
  CHECK(read_error(std::span(file).first(static_cast<std::size_t>(second))) ==
        "file ends at byte " + std::to_string(second) +
            " without its totals: it was cut off there");
  Bytes damaged = file;
  damaged[static_cast<std::size_t>(second) + 20] ^= std::byte{1};
  CHECK(has(read_error(damaged), place + " is damaged: its checksum is 0x"));
  damaged = file;
  damaged[static_cast<std::size_t>(second)] = std::byte{0};
  CHECK(read_error(damaged) == "no record at byte " + std::to_string(second) + ": found '\\x00MR'");
}

TEST_CASE("what is no token file is told apart from a damaged one") {
  CHECK(read_error({}) == "file is empty, expected a .mimi file");
  CHECK(read_error(as_bytes("RIFF\x24\x08\x03\x01WAVEfmt ")) ==
        "not a .mimi file: begins with 'RIFF$\\x08\\x03\\x01W'");
  CHECK(read_error(as_bytes("abc")) == "not a .mimi file: begins with 'abc'");
  CHECK(has(read_error(as_bytes("MIMI\x08\x01\x01\x01\x01\x01")), "not a .mimi file"));
  const std::string text_mode = "signature is damaged, as copying in text mode does: begins with ";
  CHECK(has(read_error(as_bytes("\x89MIMI\x0A\x1A\x0A\xFEMR")), text_mode));    // CR lost
  CHECK(has(read_error(as_bytes("\x09MIMI\x0D\x0A\x1A\x0A")), text_mode));      // 7 bits
  CHECK(has(read_error(as_bytes("\x89MIMI\x0D\x0D\x0A\x1A\x0A")), text_mode));  // LF to CR LF
  CHECK(has(read_error(as_bytes("\xC2\x89MIMI\x0D\x0A\x1A\x0A")), text_mode));  // Latin-1 to UTF-8
}

TEST_CASE("records that cannot follow each other are refused") {
  const TokenHeader h = Forgery::forged_header();
  const auto refuses = [](const std::vector<Bytes>& content, const std::string& message) {
    CAPTURE(message);
    const std::string error = content_error(content);
    CAPTURE(error);
    CHECK(has(error, message));
  };
  const Bytes full_end = segment_end({.number = 0, .frames = 1, .samples = 1920});
  refuses({block(h, {})}, "outside of a segment");
  refuses({gap({.blocks = 1, .frames = 1})}, "outside of a segment");
  refuses({full_end}, "end of segment at byte 69: a segment ends where none has begun");
  refuses({segment(), segment()}, "before the one before it has ended");
  refuses({segment(), block(h, {})}, "before the segment has ended");
  refuses({segment({.number = 1})}, "number is 1, expected 0");
  refuses({segment({.first_frame = 1})}, "first frame is 1, expected 0");
  refuses({segment(), block(h, {.number = 1})}, "number is 1, expected 0");
  refuses({segment(), block(h, {.first_frame = 1})}, "first frame is 1, expected 0");
  refuses({segment(), block(h, {}), block(h, {})}, "block 1 at byte 125: number is 0, expected 1");
  refuses({segment(), block(h, {.padding_samples = 1920})}, "padding is not less than a frame");
  refuses({segment(), block(h, {.padding_samples = 1}), block(h, {.number = 1, .first_frame = 1})},
          "frames follow padding");
  refuses({segment(), block(h, {}, {1000})}, "code is 1000, expected less than 1000");
  refuses({segment(), gap({.first_block = 1, .blocks = 1, .frames = 1})}, "first block is 1");
  refuses({segment(), gap({.blocks = 0, .frames = 0})}, "cannot have held");
  refuses({segment(), gap({.blocks = 2, .frames = 1})}, "cannot have held");
  refuses({segment(), gap({.blocks = 1, .frames = 126})}, "cannot have held");
  refuses({segment(), gap({.blocks = 4294967295, .frames = 4294967295}),
           block(h, {.number = 4294967295, .first_frame = 4294967295})},
          "more than 4294967295 frames");
  refuses({segment({.lead_in_samples = 1}), segment_end({})}, "more lead-in and padding");
  refuses({segment(), block(h, {}), segment_end({.number = 1})}, "segment is 1, expected 0");
  refuses({segment(), block(h, {}), segment_end({.frames = 2})}, "frame count is 2, expected 1");
  refuses({segment(), block(h, {}), segment_end({.frames = 1, .samples = 1})},
          "sample count is 1, expected 1920");
  refuses({segment(), segment_end({.source_samples = 1})}, "but no source rate");
  refuses({segment({.source_rate_hz = 8000}), segment_end({.source_samples = 1ULL << 53})},
          "too many samples");
  refuses({segment(), block(h, {})}, "second header at byte");
}

TEST_CASE("records of another form than version 1's are refused") {
  const TokenHeader h = Forgery::forged_header();
  const auto refuses = [](const Bytes& record, const std::string& message) {
    CAPTURE(message);
    const std::string error = content_error({segment(), record});
    CAPTURE(error);
    CHECK(has(error, message));
  };
  refuses(raw('S', 19), "size is 19, expected 20");
  refuses(raw('G', 21), "size is 21, expected 20");
  refuses(raw('E', 65535), "size is 65535, expected 24");
  refuses(raw('T', 0), "size is 0, expected 56");
  refuses(raw('B', 13), "has 13 bytes, expected at least 14");
  refuses(raw('X', 5), "record of type 'X' at byte 99: is not known");
  refuses(raw('\0', 5), "record of type '\\x00' at byte 99: is not known");
  refuses(raw('T', 56), "do not follow the second header");

  const auto forged_block = [&](std::size_t at, int value) {
    TokenBlock values;
    values.frames = 1;
    const Codes codes = {1};
    values.codes = codes;
    Bytes payload = pack_block(h, values);
    payload.at(at) = static_cast<std::byte>(value);
    return make_record(RecordType::kBlock, payload);
  };
  refuses(forged_block(10, 0), "frame count is 0, expected 1 to 125");
  refuses(forged_block(10, 126), "frame count is 126, expected 1 to 125");
  refuses(forged_block(10, 2), "size is 16, expected 17");
  refuses(forged_block(11, 2), "level count is 2, expected 1");
  refuses(forged_block(12, 11), "bits of a code is 11, expected 10");
  refuses(forged_block(13, 0), "stream count is 0, expected 1");
  refuses(forged_block(15, 0x80), "bits after the last code are not zero");

  Bytes reserved = pack_gap({.blocks = 1, .frames = 1});
  reserved[19] = std::byte{1};
  refuses(make_record(RecordType::kGap, reserved), "reserved bits are not zero");
}

TEST_CASE("records of a small letter's type are passed over") {
  Forgery forgery;
  forgery.content = {raw('a', 0), raw('z', 65535)};
  forgery.trailer.index_offset = forgery.trailer.header_offset = 69 + 10 + 65545;
  CHECK(read_error(forgery.file()) == "no error");

  // A block after one is not in the index entry of the blocks before.
  forgery.content = {segment(), block(forgery.header, {}), raw('a', 0),
                     block(forgery.header, {.number = 1, .first_frame = 1}),
                     segment_end({.number = 0, .frames = 2, .samples = 3840})};
  forgery.index.emplace_back();
  append_index_entry({.type = RecordType::kSegment, .count = 1, .offset = 69}, forgery.index[0]);
  append_index_entry({.type = RecordType::kBlock, .block_frames = 1, .count = 1, .offset = 99},
                     forgery.index[0]);
  append_index_entry({.type = RecordType::kBlock,
                      .block_frames = 1,
                      .number = 1,
                      .count = 1,
                      .first_frame = 1,
                      .offset = 135},
                     forgery.index[0]);
  const Bytes two_codes = {std::byte{1}, std::byte{0}, std::byte{1}, std::byte{0}};
  forgery.trailer = {.totals = {.frames = 2,
                                .blocks = 2,
                                .segments = 1,
                                .codes_crc = crc32c(0, two_codes),
                                .samples = 3840},
                     .index_offset = 195,
                     .header_offset = 277};
  CHECK(read_error(forgery.file()) == "no error");

  forgery.content = {raw('a', 0), raw('Z', 0)};
  CHECK(has(read_error(forgery.file()), "record of type 'Z' at byte 79: is not known"));
}

TEST_CASE("a tail that contradicts the content is refused") {
  Forgery good;
  good.content = {segment(), block(good.header, {}),
                  segment_end({.number = 0, .frames = 1, .samples = 1920})};
  Bytes entries;
  append_index_entry({.type = RecordType::kSegment, .count = 1, .offset = 69}, entries);
  append_index_entry({.type = RecordType::kBlock, .block_frames = 1, .count = 1, .offset = 99},
                     entries);
  good.index = {entries};
  const Bytes one_code = {std::byte{1}, std::byte{0}};
  good.trailer = {.totals = {.frames = 1,
                             .blocks = 1,
                             .segments = 1,
                             .codes_crc = crc32c(0, one_code),
                             .samples = 1920},
                  .index_offset = 159,
                  .header_offset = 217};
  REQUIRE(read_error(good.file()) == "no error");

  const auto refuses = [&](const std::string& message, auto&& change) {
    Forgery forgery = good;
    change(forgery);
    CAPTURE(message);
    const std::string error = read_error(forgery.file());
    CAPTURE(error);
    CHECK(has(error, message));
  };
  refuses("frame count is 7, expected 1", [](Forgery& f) { f.trailer.totals.frames = 7; });
  refuses("block count is 7, expected 1", [](Forgery& f) { f.trailer.totals.blocks = 7; });
  refuses("segment count is 7, expected 1", [](Forgery& f) { f.trailer.totals.segments = 7; });
  refuses("gap count is 7, expected 0", [](Forgery& f) { f.trailer.totals.gaps = 7; });
  refuses("lost frames is 7, expected 0", [](Forgery& f) { f.trailer.totals.lost_frames = 7; });
  refuses("sample count is 7, expected 1920", [](Forgery& f) { f.trailer.totals.samples = 7; });
  refuses("source samples is 7", [](Forgery& f) { f.trailer.totals.source_samples = 7; });
  refuses("offset of the index is 7", [](Forgery& f) { f.trailer.index_offset = 7; });
  refuses("offset of the second header is 7", [](Forgery& f) { f.trailer.header_offset = 7; });
  refuses("checksum of all codes is 0x00000007",
          [](Forgery& f) { f.trailer.totals.codes_crc = 7; });
  refuses("differs from the first header",
          [](Forgery& f) { f.second_header_payload[20] ^= std::byte{1}; });
  refuses("count of index entries before it is 0", [](Forgery& f) { f.index.clear(); });
  refuses("index before it belongs to other records",
          [](Forgery& f) { f.index[0][4] ^= std::byte{1}; });
  refuses("has 47 bytes", [](Forgery& f) { f.index[0].pop_back(); });
  refuses("follows an index that is not full", [](Forgery& f) { f.index.push_back(f.index[0]); });
  refuses("has 0 bytes", [](Forgery& f) { f.index.insert(f.index.begin(), Bytes{}); });
  refuses("comes after the index", [](Forgery& f) {
    f.content.push_back(make_record(RecordType::kIndex, f.index[0]));
    f.content.push_back(segment({.number = 1, .first_frame = 1}));
  });
  refuses("between the second header and the totals", [](Forgery& f) {
    f.content.push_back(make_record(RecordType::kIndex, f.index[0]));
    f.content.push_back(make_record(RecordType::kHeader, f.header_payload));
  });
}

TEST_CASE("headers that cannot be are refused by the reader") {
  const auto refuses = [](std::size_t at, std::vector<int> values, const std::string& message) {
    Forgery forgery;
    for (const int value : values) forgery.header_payload.at(at++) = static_cast<std::byte>(value);
    CAPTURE(message);
    const std::string error = read_error(forgery.file());
    CAPTURE(error);
    CHECK(has(error, "header at byte 9: " + message));
  };
  refuses(0, {2, 0}, "file is of version 2, this program reads version 1");
  refuses(2, {1}, "reserved bits are not zero");
  refuses(4, {0, 0, 0, 0}, "sample rate is 0, expected 1 to 2147483647");
  refuses(4, {0, 0, 0, 0x80}, "sample rate is 2147483648");
  refuses(8, {0, 0}, "frame size is 0, expected 1 to 65535");
  refuses(10, {0}, "level count is 0, expected 1 to 64");
  refuses(10, {65}, "level count is 65");
  refuses(11, {0}, "stream count is 0, expected 1 to 255");
  refuses(12, {1, 0, 0, 0}, "codebook size is 1, expected 2 to 65536");
  refuses(12, {1, 0, 1, 0}, "codebook size is 65537");
  refuses(16, {11}, "bits of a code is 11, expected 10 for 1000 entries");
  refuses(17, {3}, "window rule is number 3, expected 0 to 2");
  refuses(24, {0, 0, 0, 0, 0, 0, 0, 0}, "source has a sample count but no rate");
  refuses(20, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0}, "source has too many samples");
  refuses(36, {200}, "model name needs 200 bytes, 13 are left");
  refuses(37, {0xFF}, "model name '\\xffyutai/mimi' is not UTF-8");
  refuses(48, {1}, "key needs 1 bytes, 0 are left");
  refuses(36, {10}, "value needs 2 bytes, 0 are left");
  refuses(36, {0}, "key needs 117 bytes, 10 are left");

  Forgery forgery;
  forgery.header_payload.push_back(std::byte{0});
  CHECK(has(read_error(forgery.file()), "1 bytes follow the last text"));
  forgery.header_payload.resize(36);
  CHECK(has(read_error(forgery.file()), "header has 36 bytes, expected at least 37"));
}

TEST_CASE("claims beyond all bounds cost neither time nor memory") {
  TokenHeader header = made_up_header();
  header.levels = kMaxTokenLevels;
  header.streams = kMaxTokenStreams;
  header.source_rate_hz = 4294967295;
  header.source_samples = kMaxTokenSamples;
  Bytes file;
  append(file, std::as_bytes(std::span(kTokenSignature)));
  append(file, make_record(RecordType::kHeader, pack_header(header)));
  append(file, segment({.source_rate_hz = 4294967295}));
  append(file, gap({.blocks = 4294967295, .frames = 4294967295}));
  append(file, segment_end({.number = 0,
                            .frames = 4294967295,
                            .samples = std::uint64_t{4294967295} * 1920,
                            .source_samples = 7}));
  // The longest record there is, of which nothing follows.
  for (const int byte : std::vector<int>{0xFE, 'M', 'R', 'B', 0xFF, 0xFF})
    file.push_back(static_cast<std::byte>(byte));
  std::size_t largest_read = 0;
  const std::string error = error_of([&] {
    read_token_info(
        [&, rest = std::span<const std::byte>(file)](std::span<std::byte> buffer) mutable {
          largest_read = std::max(largest_read, buffer.size());
          const std::size_t count = std::min(rest.size(), buffer.size());
          std::ranges::copy(rest.first(count), buffer.begin());
          rest = rest.subspan(count);
          return count;
        });
  });
  CHECK(has(error, "of 65545 bytes"));
  CHECK(largest_read <= 65545);
}

}  // namespace
}  // namespace mimi::test
