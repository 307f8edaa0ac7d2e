#include "cli/dataset/shard.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

#include "core/byte_order.h"

namespace mimi::cli {
namespace {

enum class Kind : std::uint8_t { kPiece = 1, kFailure = 2 };

constexpr std::size_t kRowHeadBytes = 1 + 8;
constexpr std::size_t kPieceHeadBytes = 1 + 8 + 4 + 32 + 4 + 1 + 8 + 8 + 4 + 4;

// What a record may say of any recording; the numbers are those of parse_row_line().
constexpr std::uint64_t kMostSamples = std::uint64_t{1} << 50;
constexpr std::uint32_t kMostRateHz = std::numeric_limits<std::int32_t>::max();
// Pieces that a journal passes over, as it does where several workers share a recording: whoever
// made it pays for those that are there.
constexpr std::uint64_t kMostHoles = 1 << 20;

std::vector<std::byte> failure_record(std::uint64_t row, const std::string& error) {
  std::vector<std::byte> record;
  append_little_endian(static_cast<std::uint8_t>(Kind::kFailure), record);
  append_little_endian(row, record);
  for (const char c : error) record.push_back(static_cast<std::byte>(c));
  return record;
}

std::vector<std::byte> piece_record(const Piece& piece, std::size_t levels) {
  const std::size_t frames = piece.codes.size() / levels;
  std::vector<std::byte> record;
  record.reserve(kPieceHeadBytes + 2 * piece.codes.size());
  append_little_endian(static_cast<std::uint8_t>(Kind::kPiece), record);
  append_little_endian(piece.row, record);
  append_little_endian(piece.index, record);
  for (const std::uint8_t byte : piece.source) record.push_back(std::byte{byte});
  append_little_endian(std::bit_cast<std::uint32_t>(piece.peak), record);
  const RecordingEnd end = piece.end.value_or(RecordingEnd{});
  append_little_endian<std::uint8_t>(piece.end.has_value(), record);
  append_little_endian(end.samples, record);
  append_little_endian(end.source_samples, record);
  append_little_endian(end.source_rate_hz, record);
  append_little_endian(static_cast<std::uint32_t>(frames), record);
  assert(record.size() == kPieceHeadBytes);
  for (std::size_t level = 0; level < levels; ++level) {
    for (std::size_t f = 0; f < frames; ++f) {
      append_little_endian(piece.codes[f * levels + level], record);
    }
  }
  return record;
}

Shard::Recorded parse_piece(std::span<const std::byte> head, std::int64_t codes) {
  LittleEndianParser parser(head.subspan(1));
  Shard::Recorded recorded;
  Piece& piece = recorded.piece;
  piece.row = parser.u64();
  piece.index = parser.u32();
  for (std::uint8_t& byte : piece.source) byte = parser.u8();
  piece.peak = std::bit_cast<float>(parser.u32());
  const bool is_last = parser.u8() != 0;
  RecordingEnd end;
  end.samples = parser.u64();
  end.source_samples = parser.u64();
  end.source_rate_hz = parser.u32();
  if (is_last) piece.end = end;
  recorded.mark = {.codes = codes, .frames = parser.u32()};
  return recorded;
}

bool is_possible(const RecordingEnd& end) {
  return end.samples > 0 && end.samples <= kMostSamples && end.source_samples > 0 &&
         end.source_samples <= kMostSamples && end.source_rate_hz > 0 &&
         end.source_rate_hz <= kMostRateHz;
}

}  // namespace

bool RowState::is_complete() const { return end && first_missing() == pieces.size(); }

std::uint64_t RowState::frames() const {
  std::uint64_t sum = 0;
  for (const PieceMark& piece : pieces) sum += piece.frames;
  return sum;
}

std::uint32_t RowState::first_missing(std::uint32_t index) const {
  while (index < pieces.size() && pieces[index].codes >= 0) ++index;
  return index;
}

void RowState::forget_pieces(std::uint32_t from) {
  if (from < pieces.size()) pieces.resize(from);
  end.reset();
}

Shard::Shard(const Workspace& workspace, const DatasetSettings& settings, std::uint64_t number)
    : number_(number),
      first_row_(settings.first_row(number)),
      levels_(static_cast<std::size_t>(settings.levels)),
      codebook_size_(settings.codebook_size),
      frame_samples_(static_cast<std::uint64_t>(settings.frame_samples)),
      rows_(settings.rows_of(number)),
      unsettled_(rows_.size()),
      journal_(workspace.journal(number), settings.sha256(),
               [this](std::int64_t offset, std::span<const std::byte> record) {
                 return take_record(offset, record);
               }) {}

// False where the record is none that this program writes: its checksum finds damage alone.
bool Shard::take_record(std::int64_t offset, std::span<const std::byte> record) {
  if (record.size() < kRowHeadBytes) return false;
  LittleEndianParser parser(record);
  const auto kind = static_cast<Kind>(parser.u8());
  const std::uint64_t number = parser.u64();
  if (number >= rows_.size()) return false;
  if (kind == Kind::kPiece) return take_piece(offset, record);
  if (kind != Kind::kFailure || parser.remaining() == 0) return false;
  RowState& row = rows_[number];
  const auto text = parser.bytes(parser.remaining());
  row.error.assign(reinterpret_cast<const char*>(text.data()), text.size());
  settle(row);
  return true;
}

bool Shard::take_piece(std::int64_t offset, std::span<const std::byte> record) {
  if (record.size() < kPieceHeadBytes) return false;
  const Recorded recorded = parse_piece(record.first(kPieceHeadBytes),
                                        offset + static_cast<std::int64_t>(kPieceHeadBytes));
  const Piece& piece = recorded.piece;
  LittleEndianParser codes(record.subspan(kPieceHeadBytes));
  if (codes.remaining() != 2 * levels_ * recorded.mark.frames) return false;
  if (piece.end && !is_possible(*piece.end)) return false;
  while (codes.remaining() > 0) {
    if (codes.u16() >= codebook_size_) return false;
  }
  const RowState& row = rows_[piece.row];
  const std::size_t known = piece.source == row.source ? row.pieces.size() : 0;
  holes_ += piece.index > known ? piece.index - known : 0;
  if (holes_ > kMostHoles) return false;
  mark(recorded);
  return true;
}

Shard::Recorded Shard::append(Piece piece) {
  const std::int64_t offset = journal_.append(piece_record(piece, levels_));
  const auto frames = static_cast<std::uint32_t>(piece.codes.size() / levels_);
  piece.codes = {};
  return {std::move(piece), {offset + static_cast<std::int64_t>(kPieceHeadBytes), frames}};
}

void Shard::mark(const Recorded& recorded) {
  const Piece& piece = recorded.piece;
  RowState& row = rows_.at(piece.row);
  if (row.is_settled) return;
  // After a kill the file may be another than before.
  if (piece.source != row.source) row.forget_pieces(0);
  row.source = piece.source;
  row.peak = row.pieces.empty() ? piece.peak : std::max(row.peak, piece.peak);
  if (row.pieces.size() <= piece.index) row.pieces.resize(std::size_t{piece.index} + 1);
  row.pieces[piece.index] = recorded.mark;
  if (piece.end) row.end = piece.end;
  if (!row.is_complete()) return;
  if (has_its_frames(row)) {
    settle(row);
  } else {
    row.forget_pieces(0);
  }
}

// Pieces of a forged journal may be any; of a row that is whole they are not.
bool Shard::has_its_frames(const RowState& row) const {
  const std::uint64_t samples = row.end->samples;
  return row.frames() == samples / frame_samples_ + (samples % frame_samples_ == 0 ? 0 : 1);
}

void Shard::fail(std::uint64_t row, const std::string& error) {
  if (rows_[row].is_settled) return;
  journal_.append(failure_record(row, error));
  rows_[row].error = error;
  settle(rows_[row]);
}

void Shard::settle(RowState& row) {
  if (!row.is_settled) --unsettled_;
  row.is_settled = true;
}

void Shard::read_codes(const RowState::PieceMark& piece, int level,
                       std::span<std::uint16_t> codes) const {
  std::vector<std::byte> bytes(2 * codes.size());
  journal_.read(piece.codes + 2 * std::int64_t{level} * piece.frames, bytes);
  LittleEndianParser parser(bytes);
  for (std::uint16_t& code : codes) code = parser.u16();
}

}  // namespace mimi::cli
