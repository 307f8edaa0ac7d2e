#include "cli/wav_header.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "cli/header_bytes.h"
#include "cli/wav_ending.h"
#include "core/error.h"
#include "core/quote.h"

namespace mimi::cli {
namespace {

constexpr int kFormatPcm = 1;
constexpr int kFormatFloat = 3;
constexpr int kFormatExtensible = 0xFFFE;
constexpr std::uint32_t kUnknownSize = 0xFFFFFFFF;
// What sox and espeak (in whole frames), opusdec and arecord write before they know how much will
// follow, and between which numbers RIFF's own size is then.
constexpr std::uint64_t kSoxStreamBytes = 0x7FFFF000;
constexpr std::uint64_t kOpusdecStreamBytes = 0x7FFFFFFF;
constexpr std::uint64_t kArecordStreamBytes = 0x80000000;
constexpr std::uint64_t kMostHeaderBytes = 4096;
constexpr std::uint64_t kLeastStreamRiffBytes = kSoxStreamBytes - (1 << 16);
constexpr std::uint64_t kMostStreamRiffBytes = kArecordStreamBytes + kMostHeaderBytes;
// 32 bits lose multiples of 4 GiB, and a RIFF chunk's size leaves out 8 bytes.
constexpr std::int64_t kLeastWrappedBytes = (std::int64_t{1} << 32) - 8;
constexpr std::int64_t kMostRiffBytes = 0xFFFFFFFF - 64;  // with room for the header
// Chunks before 'fmt ' of a pipe are kept in memory, in case all of it must be handed on.
constexpr std::size_t kSeenLimit = 1 << 20;
// Bytes 2 to 15 of the GUIDs that stand for the plain format tags.
constexpr std::array<std::uint8_t, 14> kPlainGuidTail = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                                         0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

std::optional<PcmEncoding> pcm_encoding(int tag, int bits) {
  if (tag == kFormatPcm && bits == 8) return PcmEncoding::kU8;
  if (tag == kFormatPcm && bits == 16) return PcmEncoding::kS16;
  if (tag == kFormatPcm && bits == 24) return PcmEncoding::kS24;
  if (tag == kFormatPcm && bits == 32) return PcmEncoding::kS32;
  if (tag == kFormatFloat && bits == 32) return PcmEncoding::kF32;
  if (tag == kFormatFloat && bits == 64) return PcmEncoding::kF64;
  return std::nullopt;
}

class Prober {
 public:
  explicit Prober(ByteReader& reader) : reader_(reader), begin_(reader.position()) {}

  WavProbe run() {
    std::array<std::uint8_t, 12> start;
    const bool complete = take(start);
    const std::string_view id = complete ? letters(std::span(start).first(4)) : "";
    is_rf64_ = id == "RF64";
    if ((id != "RIFF" && !is_rf64_) || letters(std::span(start).subspan(8, 4)) != "WAVE") {
      return {.header = std::nullopt, .seen = std::move(seen_)};
    }
    riff_bytes_ = little_endian(std::span(start).subspan(4, 4));
    check_riff_size();
    // Of a compressed file in a pipe nothing more may be read without being kept.
    const bool may_skip = reader_.is_regular();
    while (!found_data_ && (may_skip || !is_compressed())) read_chunk();
    return {.header = header_, .seen = std::move(seen_)};
  }

 private:
  // Fills `bytes`, or returns false at the end of the input.
  bool take(std::span<std::uint8_t> bytes) {
    const std::size_t count = reader_.read_fully(bytes);
    if (!has_format_ && !reader_.is_regular()) {
      const auto read = bytes.first(count);
      seen_.insert(seen_.end(), read.begin(), read.end());
    }
    return count == bytes.size();
  }

  void read_chunk() {
    std::array<std::uint8_t, 8> start;
    if (!take(start)) {
      fail(has_format_ ? "ends before the 'data' chunk" : "ends before the 'fmt ' chunk");
    }
    const std::string id(letters(std::span(start).first(4)));
    if (id == std::string(4, '\0')) fail("no chunk where one should begin");
    if (++chunks_ > kMostWavChunks) fail("more than " + std::to_string(kMostWavChunks) + " chunks");
    const auto size = static_cast<std::uint32_t>(little_endian(std::span(start).subspan(4)));
    if (id == "data") {
      begin_data(size);
    } else if (id == "fmt ") {
      read_format(size);
    } else if (id == "ds64" && is_rf64_) {
      read_long_sizes(size);
    } else {
      pass(size, size % 2, id);
    }
  }

  void read_format(std::uint32_t size) {
    if (has_format_) fail("a second 'fmt ' chunk");
    std::array<std::uint8_t, 40> bytes{};
    const auto used = std::min<std::size_t>(size, bytes.size());
    if (size < 16) fail("'fmt ' chunk of " + std::to_string(size) + " bytes, expected at least 16");
    if (!take(std::span(bytes).first(used))) fail("ends within the 'fmt ' chunk");
    pass(size - used, size % 2, "fmt ");
    const auto field = [&bytes](std::size_t offset, std::size_t width) {
      return static_cast<int>(little_endian(std::span(bytes).subspan(offset, width)));
    };
    int tag = field(0, 2);
    header_.channels = field(2, 2);
    header_.rate_hz = field(4, 4);
    block_bytes_ = field(12, 2);
    const int bits = field(14, 2);
    const bool plain_guid = std::equal(kPlainGuidTail.begin(), kPlainGuidTail.end(), &bytes[26]);
    if (tag == kFormatExtensible && used == bytes.size() && plain_guid) {
      tag = field(24, 2);
      if (field(18, 2) > bits) fail("more valid bits than a sample has");
    }
    if (header_.channels < 1) fail("no channels");
    if (header_.rate_hz < 1) fail("no sample rate");
    const bool is_pcm = tag == kFormatPcm || tag == kFormatFloat;
    const int frame_bytes = header_.channels * ((bits + 7) / 8);
    if (is_pcm && block_bytes_ == 0) block_bytes_ = frame_bytes;
    if (is_pcm && block_bytes_ != frame_bytes) {
      fail(std::to_string(block_bytes_) + " bytes for " + std::to_string(header_.channels) +
           " samples of " + std::to_string(bits) + " bits");
    }
    // Samples that do not fill their bytes are rare: libsndfile knows them.
    const std::int64_t frame_bits = std::int64_t{header_.channels} * bits;
    if (block_bytes_ == frame_bits / 8) header_.encoding = pcm_encoding(tag, bits);
    has_format_ = true;
  }

  // 'ds64' of an RF64 file: the sizes that do not fit in 32 bits.
  void read_long_sizes(std::uint32_t size) {
    std::array<std::uint8_t, 16> bytes{};
    if (size < bytes.size() || !take(bytes)) fail("ends within the 'ds64' chunk");
    riff_bytes_ = little_endian(std::span(bytes).first(8));
    long_data_bytes_ = little_endian(std::span(bytes).subspan(8));
    pass(size - bytes.size(), size % 2, "ds64");
  }

  void begin_data(std::uint32_t size) {
    if (!has_format_) fail("the 'data' chunk comes before the 'fmt ' chunk");
    found_data_ = true;
    std::uint64_t bytes = size;
    if (is_rf64_ && size == kUnknownSize) bytes = long_data_bytes_;
    const std::optional<std::int64_t> total = reader_.size();
    const std::int64_t there = total ? *total - reader_.position() : 0;
    if (is_unknown(bytes, there)) {
      if (total) header_.data_bytes = there;
      return;
    }
    header_.data_bytes = static_cast<std::int64_t>(bytes);
    if (total) check_sizes(there);
  }

  // Of a program that was stopped, or wrote into a pipe.
  bool is_unknown(std::uint64_t bytes, std::int64_t there) const {
    if (bytes == 0) return riff_bytes_left().value_or(0) <= 0;
    if (bytes == kUnknownSize || bytes > INT64_MAX) return true;
    if (is_rf64_ || !is_size_of_a_stream(bytes)) return false;
    if (!reader_.is_regular()) return true;
    const bool has_riff_size = riff_bytes_ != 0 && riff_bytes_ != kUnknownSize;
    return static_cast<std::int64_t>(bytes) > there &&
           (!has_riff_size || (riff_bytes_ >= bytes && riff_bytes_ - bytes <= kMostHeaderBytes));
  }

  bool is_size_of_a_stream(std::uint64_t bytes) const {
    const auto frame_bytes = static_cast<std::uint64_t>(std::max(1, block_bytes_));
    return bytes == kArecordStreamBytes || bytes == kOpusdecStreamBytes ||
           bytes == kSoxStreamBytes / frame_bytes * frame_bytes;
  }

  // Of a regular file that has `there` bytes from the first sample on.
  void check_sizes(std::int64_t there) {
    if (*header_.data_bytes > there) {
      fail("cut short: 'data' chunk of " + std::to_string(*header_.data_bytes) +
           " bytes, the file has " + std::to_string(there) + " of them");
    }
    if (!is_rf64_) check_not_wrapped(there - *header_.data_bytes);
    const std::int64_t place = reader_.position();
    reader_.seek(place + *header_.data_bytes);
    check_behind_samples(reader_, *header_.data_bytes);
    reader_.seek(place);
  }

  // Some writers count beyond 4 GiB from 0 again, and most of the sound would be left out.
  void check_not_wrapped(std::int64_t bytes_behind) const {
    if (bytes_behind < kLeastWrappedBytes) return;
    fail("the file goes on for " + std::to_string(bytes_behind) +
         " bytes behind the 'data' chunk, whose size does not hold what is beyond 4 GiB");
  }

  bool has_riff_bytes() const {
    const bool is_of_a_stream =
        riff_bytes_ >= kLeastStreamRiffBytes && riff_bytes_ <= kMostStreamRiffBytes;
    return riff_bytes_ != 0 && riff_bytes_ != kUnknownSize && riff_bytes_ < INT64_MAX / 2 &&
           (is_rf64_ || !is_of_a_stream);
  }

  // From here to the end that RIFF's size tells, if it tells one.
  std::optional<std::int64_t> riff_bytes_left() const {
    if (!has_riff_bytes()) return std::nullopt;
    return begin_ + 8 + static_cast<std::int64_t>(riff_bytes_) - reader_.position();
  }

  void check_riff_size() {
    const std::optional<std::int64_t> total = reader_.size();
    if (!total || !has_riff_bytes()) return;
    // The size leaves out its own 8 bytes; some writers count them, or a padding byte not written.
    if (static_cast<std::int64_t>(riff_bytes_) > *total - begin_) {
      fail("cut short: RIFF chunk of " + std::to_string(riff_bytes_) + " bytes, the file has " +
           std::to_string(*total - begin_ - 8) + " of them");
    }
  }

  // Passes over the rest of a chunk, and over its padding, which may be missing at the very end.
  void pass(std::size_t size, std::size_t padding, const std::string& id) {
    if (has_format_ || reader_.is_regular()) {
      if (reader_.skip(static_cast<std::int64_t>(size + padding)) < static_cast<std::int64_t>(size))
        fail("ends within the " + quote(id) + " chunk");
      return;
    }
    const std::size_t count = size + padding;
    if (seen_.size() + count > kSeenLimit) fail("no 'fmt ' chunk in the first 1 MiB");
    std::vector<std::uint8_t> passed(count);
    if (!take(passed)) fail("ends within the " + quote(id) + " chunk");
  }

  bool is_compressed() const { return has_format_ && !header_.encoding; }

  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(reader_.name() + ": WAV header: " + cause + " (byte " +
                std::to_string(reader_.position()) + ")");
  }

  ByteReader& reader_;
  std::int64_t begin_;
  WavHeader header_;
  std::vector<std::uint8_t> seen_;
  std::uint64_t riff_bytes_ = 0;
  std::uint64_t long_data_bytes_ = 0;
  int block_bytes_ = 0;
  bool is_rf64_ = false;
  bool has_format_ = false;
  bool found_data_ = false;
  int chunks_ = 0;
};

}  // namespace

WavProbe probe_wav(ByteReader& reader) { return Prober(reader).run(); }

WavForm wav_form(double data_bytes) {
  return data_bytes < kMostRiffBytes ? WavForm::kRiff : WavForm::kRf64;
}

std::vector<std::uint8_t> wav_header(SampleFormat format, int rate_hz, int channels, WavForm form,
                                     std::optional<std::int64_t> data_bytes) {
  std::vector<std::uint8_t> bytes;
  const auto put_text = [&](std::string_view s) { bytes.insert(bytes.end(), s.begin(), s.end()); };
  const auto put = [&](std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  const bool is_float = format == SampleFormat::kF32;
  const int sample_bytes = bytes_per_sample(encoding_of(format));
  const auto frame_bytes = static_cast<std::uint64_t>(sample_bytes * channels);
  const bool is_long = form == WavForm::kRf64;
  const bool known = data_bytes && (is_long || *data_bytes < kMostRiffBytes);
  const auto size = static_cast<std::uint64_t>(known ? *data_bytes : 0);
  const std::uint64_t header_bytes = (is_float ? 58U : 44U) + (is_long ? 36U : 0U);
  const std::uint64_t riff_size = header_bytes - 8 + size + size % 2;
  const auto put_size = [&](std::uint64_t value) {
    put(known && !is_long ? value : kUnknownSize, 4);
  };

  put_text(is_long ? "RF64" : "RIFF");
  put_size(riff_size);
  put_text("WAVE");
  if (is_long) {
    put_text("ds64");
    put(28, 4);
    put(known ? riff_size : UINT64_MAX, 8);
    put(known ? size : UINT64_MAX, 8);
    put(known ? size / frame_bytes : UINT64_MAX, 8);
    put(0, 4);  // sizes of other chunks
  }
  put_text("fmt ");
  put(is_float ? 18 : 16, 4);
  put(is_float ? kFormatFloat : kFormatPcm, 2);
  put(static_cast<std::uint64_t>(channels), 2);
  put(static_cast<std::uint64_t>(rate_hz), 4);
  put(static_cast<std::uint64_t>(rate_hz) * frame_bytes, 4);
  put(frame_bytes, 2);
  put(static_cast<std::uint64_t>(8 * sample_bytes), 2);
  if (is_float) {  // the standard asks for both in all but integer PCM
    put(0, 2);
    put_text("fact");
    put(4, 4);
    put_size(size / frame_bytes);
  }
  put_text("data");
  put_size(size);
  return bytes;
}

}  // namespace mimi::cli
