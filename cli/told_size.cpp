#include "cli/told_size.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "cli/header_bytes.h"

namespace mimi::cli {
namespace {

// Who writes into a pipe leaves the greatest number there, or nearly: sox so many samples.
constexpr std::uint64_t kLeastUnknown = 0x7F000000 - (1 << 16);
constexpr std::string_view kW64Riff("riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0", 16);

std::optional<std::int64_t> with_header(std::uint64_t header, std::uint64_t bytes) {
  if (bytes >= kLeastUnknown) return std::nullopt;
  return static_cast<std::int64_t>(header + bytes);
}

// The number behind " -i " of a NIST header's line, which begins with `name`.
std::optional<std::int64_t> nist_number(std::string_view header, std::string_view name) {
  const std::size_t at = header.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view text = header.substr(at + name.size());
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0 || value > INT32_MAX) return std::nullopt;
  return value;
}

// Of what is not compressed: samples of whole bytes.
std::optional<std::int64_t> nist_bytes(std::string_view header) {
  const auto channels = nist_number(header, "\nchannel_count -i ");
  const auto samples = nist_number(header, "\nsample_count -i ");
  const auto width = nist_number(header, "\nsample_n_bytes -i ");
  const std::size_t coding = header.find("\nsample_coding ");
  const std::string_view line =
      coding == std::string_view::npos ? "" : header.substr(coding + 1).substr(0, 80);
  if (!channels || !samples || !width || *channels > INT16_MAX || *width > 8 ||
      line.substr(0, line.find('\n')).find(',') != std::string_view::npos) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(kToldSizeBytes) + *channels * *samples * *width;
}

}  // namespace

std::optional<std::int64_t> told_bytes(std::span<const std::uint8_t> start) {
  if (start.size() < 24) return std::nullopt;
  const std::string_view text = letters(start);
  // FORM leaves out 8 bytes, which some writers count, as some do padding that they do not write.
  if (text.starts_with("FORM")) return with_header(0, big_endian(start.subspan(4, 4)));
  if (text.starts_with(kW64Riff)) {
    const std::uint64_t bytes = little_endian(start.subspan(16, 8));
    return with_header(0, bytes - std::min<std::uint64_t>(bytes, 7));
  }
  if (text.starts_with(".snd")) {
    return with_header(big_endian(start.subspan(4, 4)), big_endian(start.subspan(8, 4)));
  }
  if (text.starts_with("dns.")) {
    return with_header(little_endian(start.subspan(4, 4)), little_endian(start.subspan(8, 4)));
  }
  if (text.starts_with("NIST_1A\n   1024\n")) return nist_bytes(text);
  return std::nullopt;
}

bool tells_mpeg_frames(std::span<const std::uint8_t> start) {
  if (start.size() < 64) return false;
  const bool is_version_1 = (start[1] & 0x18) == 0x18;
  const bool is_mono = (start[3] & 0xC0) == 0xC0;
  const std::size_t side_bytes = is_version_1 ? (is_mono ? 17 : 32) : (is_mono ? 9 : 17);
  for (const std::size_t checksum_bytes : {0U, 2U}) {
    const auto tag = start.subspan(4 + side_bytes + checksum_bytes, 8);
    const std::string_view name = letters(tag.first(4));
    if (name == "Xing" || name == "Info") return (tag[7] & 1) != 0;
  }
  return false;
}

}  // namespace mimi::cli
