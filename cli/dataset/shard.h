// A shard in the making: which of its rows are done, as its journal has it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/dataset/journal.h"
#include "cli/dataset/sha256.h"
#include "cli/dataset/workspace.h"

namespace mimi::cli {

// What is known of a recording once it was read to its end.
struct RecordingEnd {
  std::uint64_t samples = 0;         // at the codec's rate
  std::uint64_t source_samples = 0;  // at its own
  std::uint32_t source_rate_hz = 0;
};

// Some frames of a row: every row is cut into pieces of the same number of frames, so that a long
// one can be worked on in several places at once, and gone on with after a kill.
struct Piece {
  std::uint64_t row = 0;             // counted from the shard's first
  std::uint32_t index = 0;           // in the row
  Sha256Digest source{};             // of the file that it was made from
  float peak = 0;                    // the largest sample's magnitude
  std::optional<RecordingEnd> end;   // where it is the last
  std::vector<std::uint16_t> codes;  // [frames x levels]
};

// What is kept of a row in memory.
struct RowState {
  struct PieceMark {
    std::int64_t codes = -1;  // their place in the journal, [levels x frames]; -1: not there yet
    std::uint32_t frames = 0;
  };
  std::vector<PieceMark> pieces;
  Sha256Digest source{};
  float peak = 0;
  std::optional<RecordingEnd> end;
  std::string error;  // why it failed
  bool is_settled = false;
  bool in_one_go = false;  // from its beginning to its end by one worker
  double expected = 0;     // how much work it is, roughly

  bool failed() const { return is_settled && !error.empty(); }
  bool is_complete() const;  // every piece is there
  std::uint64_t frames() const;
  // The first piece from `index` on that is not there.
  std::uint32_t first_missing(std::uint32_t index = 0) const;
  void forget_pieces(std::uint32_t from);
};

// Not for use by two threads at once, but for append() beside codes().
class Shard {
 public:
  // Takes up what the journal holds.
  Shard(const Workspace& workspace, const DatasetSettings& settings, std::uint64_t number);

  std::uint64_t number() const { return number_; }
  std::uint64_t first_row() const { return first_row_; }
  std::vector<RowState>& rows() { return rows_; }
  const std::vector<RowState>& rows() const { return rows_; }
  std::uint64_t unsettled() const { return unsettled_; }
  Journal& journal() { return journal_; }

  // Writes a record that mark() will take.
  struct Recorded {
    Piece piece;  // without its codes
    RowState::PieceMark mark;
  };
  Recorded append(Piece piece);
  // Takes a piece's place; settles the row when it was the last to come.
  void mark(const Recorded& recorded);
  void fail(std::uint64_t row, const std::string& error);

  // The codes of some frames of one piece's level.
  void read_codes(const RowState::PieceMark& piece, int level,
                  std::span<std::uint16_t> codes) const;

 private:
  bool take_record(std::int64_t offset, std::span<const std::byte> record);
  bool take_piece(std::int64_t offset, std::span<const std::byte> record);
  bool has_its_frames(const RowState& row) const;
  void settle(RowState& row);

  std::uint64_t number_;
  std::uint64_t first_row_;
  std::size_t levels_;
  int codebook_size_;
  std::uint64_t frame_samples_;
  std::vector<RowState> rows_;
  std::uint64_t unsettled_;
  std::uint64_t holes_ = 0;  // pieces that the journal has passed over
  Journal journal_;          // the last: it fills the others
};

}  // namespace mimi::cli
