#include "cli/dataset/tar.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kBlock = 512;
constexpr char kContiguous = '7', kGnuSparse = 'S';
constexpr std::int64_t kMostHeaderText = 1 << 20;
constexpr std::int64_t kMostOctal = (std::int64_t{1} << 33) - 1;  // 11 digits

// A field of the header: where, and how long.
struct Field {
  std::size_t offset, size;
};
constexpr Field kName = {0, 100}, kMode = {100, 8}, kUser = {108, 8}, kGroup = {116, 8},
                kSize = {124, 12}, kTime = {136, 12}, kChecksum = {148, 8}, kMagic = {257, 8},
                kPrefix = {345, 155};
constexpr std::size_t kType = 156;
// In GNU tar's header of a sparse file, and in the blocks that may follow it: whether one more
// does.
constexpr std::size_t kSparseGoesOn = 482, kSparseBlockGoesOn = 504;

using Block = std::array<std::uint8_t, kBlock>;

std::string text(const Block& block, Field field) {
  const auto* begin = reinterpret_cast<const char*>(block.data()) + field.offset;
  return std::string(begin, std::find(begin, begin + field.size, '\0'));
}

// Octal digits, or, with the highest bit set, a number of the field's other bits.
std::optional<std::int64_t> number(const Block& block, Field field) {
  if ((block[field.offset] & 0x80) != 0) {
    std::int64_t value = block[field.offset] & 0x7F;
    for (std::size_t i = 1; i < field.size; ++i) {
      if (value >= std::int64_t{1} << 54) return std::nullopt;
      value = value * 256 + block[field.offset + i];
    }
    return value;
  }
  std::string digits = text(block, field);
  digits.erase(0, digits.find_first_not_of(' '));
  while (digits.ends_with(' ')) digits.pop_back();
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, /*base=*/8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// The sum of a header's bytes, its own field counted as spaces.
std::int64_t checksum(const Block& block) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool is_own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += is_own ? ' ' : block[i];
  }
  return sum;
}

// What pax headers say: "LENGTH KEY=VALUE\n", the length that of the whole.
std::optional<std::string> pax_value(std::string_view records, std::string_view key) {
  std::optional<std::string> value;
  while (!records.empty()) {
    std::size_t length = 0;
    const auto [end, error] =
        std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(end - records.data());
    if (error != std::errc() || length > records.size() || length < digits + 2) break;
    std::string_view record = records.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (record.substr(0, equals) == key && equals != std::string_view::npos) {
      value = record.substr(equals + 1);
    }
    records.remove_prefix(length);
  }
  return value;
}

// Links, devices, folders and pipes, whose size says something else or nothing.
bool is_without_data(char type) { return type >= '1' && type <= '6'; }

bool is_file(char type) {
  return type == '0' || type == '\0' || type == kContiguous || type == kGnuSparse;
}

std::string name_in(const Block& header) {
  const std::string prefix = text(header, kPrefix);
  const std::string name = text(header, kName);
  const bool has_prefix = text(header, {kMagic.offset, 6}) == "ustar" && !prefix.empty();
  return has_prefix ? prefix + "/" + name : name;
}

// What precedes a header says more than the header itself.
std::string name_of(const Block& header, const std::string& long_name, const std::string& pax) {
  if (const auto sparse_name = pax_value(pax, "GNU.sparse.name")) return *sparse_name;
  if (const auto path = pax_value(pax, "path")) return *path;
  return long_name.empty() ? name_in(header) : long_name.substr(0, long_name.find('\0'));
}

void put(Block& block, Field field, std::string_view value) {
  std::copy_n(value.data(), std::min(value.size(), field.size), block.data() + field.offset);
}

void put_octal(Block& block, Field field, std::int64_t value) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%0*llo", static_cast<int>(field.size - 1),
                static_cast<long long>(value));
  put(block, field, digits);
}

void append_block(std::string_view name, std::string_view prefix, std::int64_t bytes, char type,
                  std::vector<std::uint8_t>& out) {
  Block block{};
  put(block, kName, name);
  put(block, kPrefix, prefix);
  put_octal(block, kMode, 0644);
  put_octal(block, kUser, 0);
  put_octal(block, kGroup, 0);
  put_octal(block, kSize, bytes);
  put_octal(block, kTime, 0);
  put(block, kMagic, std::string_view("ustar\00000", 8));
  block[kType] = static_cast<std::uint8_t>(type);
  char digits[24];
  std::snprintf(digits, sizeof digits, "%06llo", static_cast<long long>(checksum(block)));
  put(block, kChecksum, std::string_view(digits, 7));
  block[kChecksum.offset + 7] = ' ';
  out.insert(out.end(), block.begin(), block.end());
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::size_t rest = key.size() + value.size() + 3;  // a space, '=' and a new line
  std::size_t length = rest;
  while (length != rest + std::to_string(length).size()) {
    length = rest + std::to_string(length).size();
  }
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

// Where a slash divides the name so that both parts fit; none: nowhere.
std::optional<std::size_t> prefix_length(std::string_view name) {
  if (name.size() <= kName.size) return 0;
  const std::size_t slash = name.find('/', name.size() - kName.size - 1);
  if (slash == std::string_view::npos || slash == 0 || slash > kPrefix.size) return std::nullopt;
  if (slash + 1 == name.size()) return std::nullopt;
  return slash;
}

bool is_ascii(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 128; });
}

}  // namespace

struct TarReader::Header {
  Block block;
  std::int64_t offset = 0;  // of the header itself
  char type = 0;
  std::int64_t bytes = 0;  // that follow it
};

TarReader::TarReader(UniqueFd file, const std::string& name) : bytes_(std::move(file), name) {}

TarReader::TarReader(const std::string& path) : bytes_(path) {
  if (!bytes_.is_regular()) throw NamedError(path, "is not a regular file");
}

void TarReader::throw_at(std::int64_t offset, const std::string& cause) const {
  throw NamedError(bytes_.name(), cause + " (byte " + std::to_string(offset) + ")");
}

std::optional<TarReader::Header> TarReader::read_header() {
  Header header;
  header.offset = next_header_;
  bytes_.seek(next_header_);
  const std::size_t count = bytes_.read_fully(header.block);
  if (count == 0 && next_header_ > 0) return std::nullopt;  // some leave out the end's zeros
  if (count < kBlock) throw_at(header.offset, "tar file cut short within a header");
  const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
  if (std::all_of(header.block.begin(), header.block.end(), is_zero)) return std::nullopt;
  if (number(header.block, kChecksum) != checksum(header.block)) {
    throw_at(header.offset, "not a tar header: its checksum is wrong");
  }
  const std::optional<std::int64_t> size = number(header.block, kSize);
  if (!size || *size < 0) throw_at(header.offset, "a tar header's size is not a number");
  header.type = static_cast<char>(header.block[kType]);
  header.bytes = *size;
  return header;
}

std::string TarReader::text_of(const Header& header) {
  if (header.bytes > kMostHeaderText) throw_at(header.offset, "a tar header is too long");
  return contents({.name = {}, .offset = header.offset + 512, .bytes = header.bytes});
}

FileStamp TarReader::stamp() const {
  struct stat status {};
  if (fstat(bytes_.fd(), &status) != 0) throw_system_error(bytes_.name(), errno);
  return stamp_of(status);
}

// Where the bytes of a member begin: what GNU tar says of a sparse one may need further blocks.
std::int64_t TarReader::after_sparse_headers(const Header& header) {
  std::int64_t begin = header.offset + static_cast<std::int64_t>(kBlock);
  bool goes_on = header.type == kGnuSparse && header.block[kSparseGoesOn] != 0;
  while (goes_on) {
    Block block;
    bytes_.seek(begin);
    if (bytes_.read_fully(block) < kBlock) throw_at(begin, "tar file cut short within a header");
    goes_on = block[kSparseBlockGoesOn] != 0;
    begin += static_cast<std::int64_t>(kBlock);
  }
  return begin;
}

std::optional<TarMember> TarReader::next() {
  std::string pax, long_name;
  while (std::optional<Header> header = read_header()) {
    const bool describes_next = header->type == 'x' || header->type == 'L';
    if (header->type == 'x') pax = text_of(*header);
    if (header->type == 'L') long_name = text_of(*header);
    if (!describes_next) {
      if (const auto size = pax_value(pax, "size")) {
        const char* end = size->data() + size->size();
        if (std::from_chars(size->data(), end, header->bytes).ptr != end) header->bytes = -1;
      }
    }
    if (is_without_data(header->type)) header->bytes = 0;
    const std::int64_t begin = after_sparse_headers(*header);
    if (header->bytes < 0 || *bytes_.size() - begin < header->bytes) {
      throw_at(header->offset, "tar file cut short: a member of " + std::to_string(header->bytes) +
                                   " bytes is not all there");
    }
    next_header_ = begin + header->bytes + static_cast<std::int64_t>(tar_padding(header->bytes));
    if (describes_next) continue;
    if (is_file(header->type)) {
      const std::string name = name_of(header->block, long_name, pax);
      if (name.find('\0') != std::string::npos) {
        throw_at(header->offset, "a member's name has a zero byte, as no file's name has");
      }
      return TarMember{name, begin, header->bytes,
                       header->type == kGnuSparse || pax_value(pax, "GNU.sparse.name") ||
                           pax_value(pax, "GNU.sparse.size")};
    }
    if (header->type == '1' || header->type == '2') ++links_;
    pax.clear();
    long_name.clear();
  }
  return std::nullopt;
}

std::string TarReader::contents(const TarMember& member) {
  std::string text(static_cast<std::size_t>(member.bytes), '\0');
  bytes_.seek(member.offset);
  const std::size_t count =
      bytes_.read_fully({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (count < text.size()) throw_at(member.offset, "tar file cut short");
  return text;
}

void append_tar_header(const std::string& name, std::int64_t bytes,
                       std::vector<std::uint8_t>& out) {
  const std::optional<std::size_t> prefix = prefix_length(name);
  std::string records;
  if (!is_ascii(name) || !prefix) records += pax_record("path", name);
  if (bytes > kMostOctal) records += pax_record("size", std::to_string(bytes));
  if (!records.empty()) {
    append_block("pax", "", static_cast<std::int64_t>(records.size()), 'x', out);
    out.insert(out.end(), records.begin(), records.end());
    out.resize(out.size() + tar_padding(static_cast<std::int64_t>(records.size())));
  }
  const std::string_view whole = name;
  const std::size_t cut = prefix.value_or(0);
  append_block(cut > 0 ? whole.substr(cut + 1) : whole, whole.substr(0, cut),
               std::min(bytes, kMostOctal), '0', out);
}

std::size_t tar_padding(std::int64_t bytes) {
  return (kBlock - static_cast<std::size_t>(bytes) % kBlock) % kBlock;
}

}  // namespace mimi::cli
