// Codes as text: a line a frame.
#include <charconv>
#include <string>

#include "cli/token_table.h"
#include "core/quote.h"
#include "core/token_record.h"

namespace mimi::cli {
namespace {

constexpr std::string_view kDescriptionMark = "# mimi ";
constexpr std::string_view kLostLine = "lost";

// The numbers of a line. Throws naming the line.
std::vector<std::int32_t> parse_line(std::string_view line, std::size_t number) {
  const auto fail = [&] {
    throw Error("line " + std::to_string(number) + " is " + quote(line) +
                ", expected the codes of a frame, or lost");
  };
  std::vector<std::int32_t> codes;
  const char* at = line.data();
  const char* const end = at + line.size();
  while (at != end) {
    std::uint16_t code = 0;
    const auto [next, error] = std::from_chars(at, end, code);
    if (error != std::errc() || codes.size() == 64 * 255) fail();
    codes.push_back(code);
    at = next;
    if (at != end && *at != ' ') fail();
    if (at != end && ++at == end) fail();
  }
  if (codes.empty()) fail();
  return codes;
}

}  // namespace

TokenTable read_text(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  TokenTable table;
  table.header = like;
  table.header.source_samples.reset();
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  LostCodes lost(bytes.size());
  std::size_t width = 0;  // codes of a frame, as the description or the first line has them
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.starts_with(kDescriptionMark) && number == 1) {
      apply_description(line.substr(kDescriptionMark.size()), table);
      width = table.header.frame_codes();
    } else if (line == kLostLine && width > 0) {
      lost.add(width);
      table.codes.resize(table.codes.size() + width, TokenTable::kLost);
    } else if (!line.starts_with('#')) {
      const std::vector<std::int32_t> codes = parse_line(line, number);
      if (width == 0) {
        table.header.streams = 1;
        table.header.levels = static_cast<int>(codes.size());
        width = codes.size();
        check_header(table.header);
      }
      if (codes.size() != width) {
        throw Error("line " + std::to_string(number) + " has " + std::to_string(codes.size()) +
                    " codes, expected " + std::to_string(width));
      }
      table.codes.insert(table.codes.end(), codes.begin(), codes.end());
    }
  }
  if (width == 0) throw Error("holds no codes");
  return table;
}

std::vector<std::uint8_t> text_file(const TokenTable& table) {
  std::string text = std::string(kDescriptionMark) + describe(table) + "\n";
  const std::size_t width = table.header.frame_codes();
  for (std::size_t frame = 0; frame < table.frames(); ++frame) {
    if (table.is_lost(frame)) {
      text += std::string(kLostLine) + "\n";
      continue;
    }
    for (std::size_t i = 0; i < width; ++i) {
      text += std::to_string(table.codes[frame * width + i]) + (i + 1 == width ? "\n" : " ");
    }
  }
  return {text.begin(), text.end()};
}

}  // namespace mimi::cli
