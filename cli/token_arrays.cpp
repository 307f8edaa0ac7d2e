// Codes as arrays: npy, safetensors, and moshi.cpp's files.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/dataset/npy.h"
#include "cli/token_table.h"
#include "core/quote.h"
#include "core/safetensors.h"
#include "core/token_record.h"

namespace mimi::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are read as they lie in a file");

// What an element can be, as NumPy and safetensors name it.
struct ElementType {
  std::string_view npy, safetensors;
  std::size_t bytes;
  bool is_signed;
};
constexpr std::array kElementTypes = {
    ElementType{"<u2", "U16", 2, false}, ElementType{"<i2", "I16", 2, true},
    ElementType{"<i4", "I32", 4, true},  ElementType{"<i8", "I64", 8, true},
    ElementType{"<u4", "U32", 4, false}, ElementType{"<u8", "U64", 8, false},
    ElementType{"|u1", "U8", 1, false},
};
// The first four stand in CodeType's order.
const ElementType& element_type(CodeType type) {
  return kElementTypes[static_cast<std::size_t>(type)];
}

// An array of codes in a file: [levels x frames] or [streams x levels x frames].
struct CodeArray {
  const ElementType* type = nullptr;
  std::vector<std::uint64_t> shape;
  bool fortran_order = false;
  std::span<const std::uint8_t> data;
};

std::int64_t load(const ElementType& type, const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, type.bytes);
  const auto code = static_cast<std::int64_t>(value);
  if (!type.is_signed || type.bytes == sizeof value) return code;
  const std::int64_t codes = std::int64_t{1} << (8 * type.bytes);
  return code < codes / 2 ? code : code - codes;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (const std::uint64_t size : shape)
    text += (text.size() > 1 ? "," : "") + std::to_string(size);
  return text + "]";
}

void check_size(const CodeArray& array) {
  std::uint64_t elements = 1;
  for (const std::uint64_t size : array.shape) {
    if (size != 0 && elements > std::numeric_limits<std::uint64_t>::max() / 8 / size) {
      throw Error("array of shape " + shape_text(array.shape) + " is too large");
    }
    elements *= size;
  }
  if (elements * array.type->bytes == array.data.size()) return;
  throw Error("array of shape " + shape_text(array.shape) + " has " +
              std::to_string(elements * array.type->bytes) + " bytes, the file has " +
              std::to_string(array.data.size()));
}

// The code that marks a lost frame in an array of this type.
std::int64_t lost_value(const ElementType& type) {
  return type.is_signed || type.bytes > 2 ? -1 : (std::int64_t{1} << (8 * type.bytes)) - 1;
}

TokenTable table_of(const CodeArray& array, const TokenHeader& like) {
  check_size(array);
  const std::size_t rank = array.shape.size();
  const std::uint64_t streams = rank == 3 ? array.shape[0] : 1;
  if (rank < 2 || rank > 3 || streams < 1 || streams > kMaxTokenStreams ||
      array.shape[rank - 2] < 1 || array.shape[rank - 2] > kMaxTokenLevels) {
    throw Error("array has the shape " + shape_text(array.shape) +
                ", expected [levels, frames] or [streams, levels, frames] with at most 255 streams "
                "and 64 levels");
  }
  const std::uint64_t levels = array.shape[rank - 2], frames = array.shape[rank - 1];
  TokenTable table;
  table.header = like;
  table.header.streams = static_cast<int>(streams);
  table.header.levels = static_cast<int>(levels);
  table.header.source_samples.reset();
  const std::uint64_t rows = streams * levels;
  table.codes.resize(rows * frames);
  for (std::uint64_t i = 0; i < table.codes.size(); ++i) {
    const std::uint64_t frame = i / rows, stream = i % rows / levels, level = i % levels;
    const std::uint64_t place = array.fortran_order ? stream + streams * (level + levels * frame)
                                                    : (stream * levels + level) * frames + frame;
    const std::int64_t value = load(*array.type, &array.data[place * array.type->bytes]);
    const bool lost = value == lost_value(*array.type) && value >= like.codebook_size;
    if (value == -1 || lost) {
      table.codes[i] = TokenTable::kLost;
    } else if (value < 0 || value >= like.codebook_size) {
      throw Error("code of level " + std::to_string(level) + ", frame " + std::to_string(frame) +
                  " is " + std::to_string(value) + ", expected 0 to " +
                  std::to_string(like.codebook_size - 1));
    } else {
      table.codes[i] = static_cast<std::int32_t>(value);
    }
  }
  return table;
}

std::vector<std::uint8_t> array_bytes(const TokenTable& table, const ElementType& type) {
  const auto streams = static_cast<std::size_t>(table.header.streams);
  const auto levels = static_cast<std::size_t>(table.header.levels);
  const std::size_t frames = table.frames();
  const auto bits = static_cast<int>(8 * type.bytes) - (type.is_signed ? 1 : 0);
  const std::int64_t most =
      bits >= 63 ? std::numeric_limits<std::int64_t>::max() : (std::int64_t{1} << bits) - 1;
  std::vector<std::uint8_t> bytes(table.codes.size() * type.bytes);
  for (std::size_t row = 0; row < streams * levels; ++row) {
    for (std::size_t frame = 0; frame < frames; ++frame) {
      std::int64_t code = table.codes[frame * streams * levels + row];
      if (code > most || (code == lost_value(type) && code >= 0)) {
        throw Error("code " + std::to_string(code) + " of frame " + std::to_string(frame) +
                    " does not fit the array's type");
      }
      if (code == TokenTable::kLost) code = lost_value(type);
      std::memcpy(&bytes[(row * frames + frame) * type.bytes], &code, type.bytes);
    }
  }
  return bytes;
}

// [levels, frames], or with more than one stream [streams, levels, frames].
std::vector<std::uint64_t> array_shape(const TokenTable& table) {
  std::vector<std::uint64_t> shape = {static_cast<std::size_t>(table.header.levels),
                                      table.frames()};
  if (table.header.streams > 1) {
    shape.insert(shape.begin(), static_cast<std::uint64_t>(table.header.streams));
  }
  return shape;
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void append(std::string_view text, std::vector<std::uint8_t>& out) {
  out.insert(out.end(), text.begin(), text.end());
}

template <typename Number>
void append_number(Number value, std::vector<std::uint8_t>& out) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

// What follows `key` in the header of an npy file, a Python dictionary.
std::string_view npy_value(std::string_view header, std::string_view key) {
  const std::string quoted = "'" + std::string(key) + "':";
  const std::size_t at = header.find(quoted);
  if (at == std::string_view::npos) throw Error("npy header has no " + quote(key));
  std::string_view value = header.substr(at + quoted.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

std::vector<std::uint64_t> npy_shape(std::string_view text) {
  std::vector<std::uint64_t> shape;
  const std::size_t end = text.find(')');
  if (!text.starts_with('(') || end == std::string_view::npos)
    throw Error("npy shape is " + quote(text));
  std::string_view list = text.substr(1, end - 1);
  while (!list.empty()) {
    std::uint64_t size = 0;
    const auto [rest, error] = std::from_chars(list.data(), list.data() + list.size(), size);
    if (error != std::errc() || shape.size() == 8) throw Error("npy shape is " + quote(text));
    shape.push_back(size);
    list.remove_prefix(static_cast<std::size_t>(rest - list.data()));
    if (!list.empty() && list.front() != ',') throw Error("npy shape is " + quote(text));
    list.remove_prefix(std::min(list.find_first_not_of(", "), list.size()));
  }
  return shape;
}

// The text under "mimi" in a safetensors file's metadata, whose header was found to be right.
std::optional<std::string> safetensors_description(std::span<const std::uint8_t> bytes) {
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  const std::string_view header = text_of(bytes).substr(sizeof size, size);
  const auto json = nlohmann::json::parse(header, nullptr, false);
  const auto metadata = json.find("__metadata__");
  if (metadata == json.end()) return std::nullopt;
  const auto description = metadata->find("mimi");
  if (description == metadata->end()) return std::nullopt;
  return description->get<std::string>();
}

constexpr std::size_t kNpyPrefixBytes = 10;  // magic, version 1.0, length of the dictionary

}  // namespace

std::int64_t lost_code(CodeType type) { return lost_value(element_type(type)); }

TokenTable read_npy(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  if (bytes.size() < 12) throw Error("npy file is cut short");
  const bool is_first_version = bytes[6] == 1;
  const std::size_t prefix = is_first_version ? kNpyPrefixBytes : kNpyPrefixBytes + 2;
  std::size_t size = bytes[8] + std::size_t{bytes[9]} * 256;
  if (!is_first_version) size += (bytes[10] + std::size_t{bytes[11]} * 256) << 16;
  if (bytes[6] < 1 || bytes[6] > 3 || bytes.size() - prefix < size) {
    throw Error("npy file is of another version than 1 to 3, or cut short");
  }
  const std::string_view header = text_of(bytes.subspan(prefix, size));
  CodeArray array;
  const std::string_view descr = npy_value(header, "descr");
  const auto* const type = std::ranges::find_if(kElementTypes, [&](const ElementType& known) {
    return descr.starts_with("'" + std::string(known.npy) + "'");
  });
  if (type == kElementTypes.end()) {
    const std::string_view name = descr.starts_with('\'') ? descr.substr(1, descr.find('\'', 1) - 1)
                                                          : descr.substr(0, descr.find(','));
    throw Error("npy array is of type " + quote(name) +
                ", expected little-endian integers of 16, 32 or 64 bits, or uint8");
  }
  array.type = type;
  array.fortran_order = npy_value(header, "fortran_order").starts_with("True");
  array.shape = npy_shape(npy_value(header, "shape"));
  array.data = bytes.subspan(prefix + size);
  return table_of(array, like);
}

std::vector<std::uint8_t> npy_file(const TokenTable& table, CodeType code_type) {
  const ElementType& type = element_type(code_type);
  std::vector<std::uint8_t> file = npy_header(type.npy, array_shape(table));
  const std::vector<std::uint8_t> data = array_bytes(table, type);
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

TokenTable read_safetensors(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  const std::vector<TensorEntry> entries = parse_safetensors(std::as_bytes(bytes), "safetensors");
  const auto codes = std::ranges::find(entries, "codes", &TensorEntry::name);
  if (codes == entries.end()) throw Error("safetensors file has no tensor 'codes'");
  const auto* const type =
      std::ranges::find(kElementTypes, codes->dtype_name, &ElementType::safetensors);
  if (type == kElementTypes.end()) {
    throw Error("tensor 'codes' is of type " + codes->dtype_name +
                ", expected integers of 16, 32 or 64 bits, or U8");
  }
  TokenTable described;
  described.header = like;
  const std::optional<std::string> description = safetensors_description(bytes);
  if (description) apply_description(*description, described);
  const CodeArray array = {
      .type = type,
      .shape = {codes->shape.begin(), codes->shape.end()},
      .data = {reinterpret_cast<const std::uint8_t*>(codes->data.data()), codes->data.size()}};
  TokenTable table = table_of(array, described.header);
  if (!description) return table;
  if (table.header.streams != described.header.streams ||
      table.header.levels != described.header.levels) {
    throw Error("tensor 'codes' has the shape " + shape_text(array.shape) +
                ", which is not what its description says");
  }
  described.codes = std::move(table.codes);
  return described;
}

std::vector<std::uint8_t> safetensors_file(const TokenTable& table, CodeType code_type) {
  const ElementType& type = element_type(code_type);
  const std::vector<std::uint8_t> data = array_bytes(table, type);
  const nlohmann::ordered_json json = {{"__metadata__", {{"mimi", describe(table)}}},
                                       {"codes",
                                        {{"dtype", type.safetensors},
                                         {"shape", array_shape(table)},
                                         {"data_offsets", {0, data.size()}}}}};
  std::string header = json.dump();
  header.append((8 - header.size() % 8) % 8, ' ');
  std::vector<std::uint8_t> file;
  append_number(std::uint64_t{header.size()}, file);
  append(header, file);
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

TokenTable read_moshi(std::span<const std::uint8_t> bytes, const TokenHeader& like) {
  if (bytes.size() < 8) throw Error("moshi.cpp's file is cut short");
  const std::int64_t levels = load(kElementTypes[2], &bytes[4]);
  const std::span<const std::uint8_t> data = bytes.subspan(8);
  const std::uint64_t codes = data.size() / 2;
  if (levels < 1 || levels > kMaxTokenLevels) {
    throw Error("moshi.cpp's file has " + std::to_string(levels) + " levels, expected 1 to 64");
  }
  if (data.size() % 2 != 0 || codes % static_cast<std::uint64_t>(levels) != 0) {
    throw Error("moshi.cpp's file ends within a frame of " + std::to_string(levels) + " levels");
  }
  // Frame by frame is the order of columns of [levels x frames].
  const auto rows = static_cast<std::uint64_t>(levels);
  return table_of({.type = &element_type(CodeType::kInt16),
                   .shape = {rows, codes / rows},
                   .fortran_order = true,
                   .data = data},
                  like);
}

std::vector<std::uint8_t> moshi_file(const TokenTable& table) {
  if (table.header.streams != 1) {
    throw Error("has " + std::to_string(table.header.streams) +
                " streams, moshi.cpp's files hold one");
  }
  std::vector<std::uint8_t> file;
  append("MIMI", file);
  append_number(static_cast<std::int32_t>(table.header.levels), file);
  for (const std::int32_t code : table.codes) {
    if (code > std::numeric_limits<std::int16_t>::max()) {
      throw Error("code " + std::to_string(code) + " does not fit moshi.cpp's 16 bits");
    }
    append_number(static_cast<std::int16_t>(code), file);
  }
  return file;
}

}  // namespace mimi::cli
