#include "cli/wav_ending.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "cli/header_bytes.h"
#include "cli/sound_tags.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::int64_t kMostPaddingBytes = 4096;
constexpr std::size_t kChunkHeaderBytes = 8;

// The chunks behind the samples, one by one.
class ChunkWalk {
 public:
  explicit ChunkWalk(ByteReader& reader, std::int64_t data_bytes)
      : reader_(reader), is_odd_(data_bytes % 2 != 0) {}

  void run() {
    for (int chunks = 0; chunks < kMostWavChunks && pass_chunk(); ++chunks) {
    }
    const std::int64_t most = most_unknown();
    if (unknown_bytes_ + reader_.skip(most + 1) <= most) return;
    throw Error(
        reader_.name() +
        ": WAV file goes on behind its 'data' chunk with what is no whole chunk, and may be "
        "sound (byte " +
        std::to_string(begin_) + ")");
  }

 private:
  // False where what comes is none.
  bool pass_chunk() {
    begin_ = reader_.position();
    std::array<std::uint8_t, 1 + kChunkHeaderBytes> bytes;
    const std::span start =
        std::span(bytes).first(reader_.read_fully(std::span(bytes).first(is_odd_ ? 9 : 8)));
    unknown_bytes_ = static_cast<std::int64_t>(start.size());
    // Some writers leave the padding out.
    if (is_odd_ && pass_body(start.subspan(std::min<std::size_t>(1, start.size())))) return true;
    return pass_body(start);
  }

  // Of a chunk that begins with `start`, where it does.
  bool pass_body(std::span<const std::uint8_t> start) {
    if (start.size() < kChunkHeaderBytes || !is_id(letters(start.first(4)))) return false;
    if (letters(start.first(4)) == "data") {
      const std::int64_t place = reader_.position() - static_cast<std::int64_t>(start.size());
      throw Error(reader_.name() + ": WAV file has a second 'data' chunk (byte " +
                  std::to_string(place) + ")");
    }
    const auto bytes = static_cast<std::int64_t>(little_endian(start.subspan(4, 4)));
    const auto seen = static_cast<std::int64_t>(start.size() - kChunkHeaderBytes);
    if (bytes < seen) return false;
    const std::int64_t passed = reader_.skip(bytes - seen);
    unknown_bytes_ += passed;
    is_odd_ = bytes % 2 != 0;
    return passed == bytes - seen;
  }

  static bool is_id(std::string_view id) {
    return std::all_of(id.begin(), id.end(), [](char c) { return c >= ' ' && c <= '~'; });
  }

  std::int64_t most_unknown() {
    if (!reader_.is_regular()) return kMostPaddingBytes;
    const std::int64_t place = reader_.position();
    const std::int64_t tag_bytes = *reader_.size() - end_before_tags(reader_);
    reader_.seek(place);
    return kMostPaddingBytes + tag_bytes;
  }

  ByteReader& reader_;
  bool is_odd_;  // what was passed
  std::int64_t begin_ = 0;
  std::int64_t unknown_bytes_ = 0;  // from there on
};

}  // namespace

void check_behind_samples(ByteReader& reader, std::int64_t data_bytes) {
  ChunkWalk(reader, data_bytes).run();
}

}  // namespace mimi::cli
