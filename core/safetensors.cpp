#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/quote.h"

namespace mimi {

namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are read as they lie in the file");

// As the reference implementation has it.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
// What keeps a hostile header's memory in bounds; a Mimi has a few hundred tensors of rank 1 to 3.
constexpr std::size_t kMaxTensors = 65'536;
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxMetadata = 16, kMaxMetadataLength = 64;

struct DtypeInfo {
  std::string_view name;
  std::size_t bytes;
  TensorType dtype = TensorType::kOther;
};

constexpr std::array kDtypes = {
    DtypeInfo{"F32", 4, TensorType::kF32},
    DtypeInfo{"F16", 2, TensorType::kF16},
    DtypeInfo{"BF16", 2, TensorType::kBF16},
    DtypeInfo{"F64", 8},
    DtypeInfo{"I64", 8},
    DtypeInfo{"U64", 8},
    DtypeInfo{"I32", 4},
    DtypeInfo{"U32", 4},
    DtypeInfo{"I16", 2},
    DtypeInfo{"U16", 2},
    DtypeInfo{"I8", 1, TensorType::kInt8},
    DtypeInfo{"U8", 1},
    DtypeInfo{"BOOL", 1},
    DtypeInfo{"F8_E4M3", 1},
    DtypeInfo{"F8_E5M2", 1},
};

struct HeaderEntry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

// Takes the header's JSON as events, so that nothing is ever held that the format does not have:
// {"__metadata__": {text: text}, name: {"dtype": text, "shape": [n...], "data_offsets": [n, n]}}.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& source) : source_(source) {}

  std::vector<HeaderEntry> take() { return std::move(entries_); }
  std::map<std::string, std::string> take_metadata() { return std::move(metadata_); }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number that is not whole or too large");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kNumbers) return unexpected("a number");
    if (numbers_->size() == kMaxRank) fail(" has more than 8 numbers");
    numbers_->push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) return keep_metadata(value);
    if (place_ != Place::kTensor || key_ != "dtype") return unexpected("a string");
    if (entries_.back().dtype) fail(" is given twice");
    entries_.back().dtype = std::move(value);
    return true;
  }

  bool key(string_t& name) override {
    key_ = std::move(name);
    if (place_ == Place::kTensor && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
      fail(" is not a part of the format");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && key_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      if (entries_.size() == kMaxTensors) fail(" is one tensor more than the 65536 allowed");
      entries_.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}});
      place_ = Place::kTensor;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      const HeaderEntry& entry = entries_.back();
      if (!entry.dtype) lacks("dtype");
      if (!entry.shape) lacks("shape");
      if (!entry.offsets || entry.offsets->size() != 2) lacks("data_offsets, two numbers,");
    }
    place_ = place_ == Place::kTop ? Place::kStart : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || key_ == "dtype") return unexpected("an array");
    auto& list = key_ == "shape" ? entries_.back().shape : entries_.back().offsets;
    if (list) fail(" is given twice");
    numbers_ = &list.emplace();
    place_ = Place::kNumbers;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    throw Error(source_ + ": header is not valid JSON at its byte " + std::to_string(position));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kNumbers };

  [[noreturn]] void fail(const std::string& what) const {
    const bool in_tensor = place_ == Place::kTensor || place_ == Place::kNumbers;
    const std::string owner = in_tensor ? "tensor " + quote(entries_.back().name) + ": " : "";
    throw Error(source_ + ": header: " + owner + quote(key_) + what);
  }
  [[noreturn]] void lacks(const std::string& what) const {
    throw Error(source_ + ": header: tensor " + quote(entries_.back().name) + ": " + what +
                " is missing");
  }
  bool keep_metadata(std::string& value) {
    if (!key_.starts_with("mimi.")) return true;
    if (metadata_.size() == kMaxMetadata) fail(" is one more than the 16 of mimi allowed");
    if (value.size() > kMaxMetadataLength) fail(" is longer than 64 bytes");
    metadata_[key_] = std::move(value);
    return true;
  }
  bool unexpected(const std::string& what) const {
    if (place_ == Place::kStart) throw Error(source_ + ": header is " + what + ", not an object");
    fail(" holds " + what);
  }

  const std::string& source_;
  std::vector<HeaderEntry> entries_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::uint64_t>* numbers_ = nullptr;  // the list being read
  std::string key_;
  Place place_ = Place::kStart;
};

std::span<const std::byte> header_bytes(std::span<const std::byte> bytes,
                                        const std::string& source) {
  std::uint64_t size = 0;
  if (bytes.size() < sizeof size) {
    throw Error(source + ": is " + std::to_string(bytes.size()) +
                " bytes long, too short for a safetensors file");
  }
  std::memcpy(&size, bytes.data(), sizeof size);
  const std::size_t rest = bytes.size() - sizeof size;
  if (size > kMaxHeaderBytes || size > rest) {
    throw Error(source + ": claims a header of " + std::to_string(size) + " bytes, of which " +
                std::to_string(rest) + " are there and at most " + std::to_string(kMaxHeaderBytes) +
                " are allowed: not a safetensors file, or a truncated one");
  }
  const auto header = bytes.subspan(sizeof size, static_cast<std::size_t>(size));
  if (header.empty() || header.front() != std::byte{'{'}) {
    throw Error(source + ": header does not begin with '{': not a safetensors file");
  }
  return header;
}

std::vector<HeaderEntry> read_header(std::span<const std::byte> header, const std::string& source,
                                     std::map<std::string, std::string>* metadata) {
  const auto* const text = reinterpret_cast<const char*>(header.data());
  HeaderReader reader(source);
  nlohmann::json::sax_parse(text, text + header.size(), &reader);
  if (metadata != nullptr) *metadata = reader.take_metadata();
  return reader.take();
}

// Bytes of a tensor of `shape`, or nothing where 64 bits do not hold them.
std::optional<std::uint64_t> byte_size(std::span<const std::uint64_t> shape, std::uint64_t bytes) {
  if (std::ranges::find(shape, 0U) != shape.end()) return 0;
  for (const std::uint64_t size : shape) {
    if (bytes > std::numeric_limits<std::uint64_t>::max() / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

TensorEntry make_entry(const HeaderEntry& header, std::span<const std::byte> data,
                       const std::string& source) {
  const std::string where = source + ": tensor " + quote(header.name);
  const auto* const info = std::ranges::find(kDtypes, *header.dtype, &DtypeInfo::name);
  if (info == kDtypes.end()) throw Error(where + " has the unknown dtype " + quote(*header.dtype));

  const std::uint64_t begin = (*header.offsets)[0];
  const std::uint64_t end = (*header.offsets)[1];
  if (begin > end) {
    throw Error(where + " begins at byte " + std::to_string(begin) +
                " of the data and ends before, at " + std::to_string(end));
  }
  if (end > data.size()) {
    throw Error(where + " ends at byte " + std::to_string(end) + " of the data, the file has " +
                std::to_string(data.size()) + ": it is truncated, or its header is wrong");
  }
  std::vector<std::int64_t> shape;
  for (const std::uint64_t size : *header.shape) {
    if (size > std::numeric_limits<std::int64_t>::max()) {
      throw Error(where + " has a dimension of " + std::to_string(size));
    }
    shape.push_back(static_cast<std::int64_t>(size));
  }
  if (byte_size(*header.shape, info->bytes) != end - begin) {
    throw Error(where + " is " + *header.dtype + " " + shape_text(shape) + ", which is not the " +
                std::to_string(end - begin) + " bytes its offsets give it");
  }
  return {
      .name = header.name,
      .dtype = info->dtype,
      .dtype_name = *header.dtype,
      .shape = std::move(shape),
      .data = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))};
}

// Throws unless the tensors cover `data` without overlaps and holes.
void check_cover(std::span<const TensorEntry> entries, std::span<const std::byte> data,
                 const std::string& source) {
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& entry : entries) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const TensorEntry* entry) {
    return std::tuple(entry->data.data(), entry->data.size());
  });

  const std::byte* position = data.data();
  for (const TensorEntry* entry : order) {
    const std::ptrdiff_t gap = entry->data.data() - position;
    const std::string where = source + ": tensor " + quote(entry->name);
    if (gap < 0) {
      throw Error(where + " overlaps the one before it by " + std::to_string(-gap) + " bytes");
    }
    if (gap > 0) {
      throw Error(where + " begins " + std::to_string(gap) + " bytes after the one before it ends");
    }
    position += entry->data.size();
  }
  const std::ptrdiff_t rest = data.data() + data.size() - position;
  if (rest > 0) {
    throw Error(source + ": " + std::to_string(rest) + " bytes follow the last tensor");
  }
}

}  // namespace

std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> bytes,
                                           const std::string& source,
                                           std::map<std::string, std::string>* metadata) {
  const std::span<const std::byte> header = header_bytes(bytes, source);
  const std::span<const std::byte> data = bytes.subspan(sizeof(std::uint64_t) + header.size());

  std::vector<TensorEntry> entries;
  for (const HeaderEntry& entry : read_header(header, source, metadata)) {
    entries.push_back(make_entry(entry, data, source));
  }
  std::ranges::sort(entries, {}, &TensorEntry::name);
  const auto twin = std::ranges::adjacent_find(entries, {}, &TensorEntry::name);
  if (twin != entries.end()) {
    throw Error(source + ": tensor " + quote(twin->name) + " is in the header twice");
  }
  check_cover(entries, data, source);
  return entries;
}

}  // namespace mimi
