#include "cli/dataset/row_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::int64_t kLeastPieceFrames = 125;
// Given at once: whole blocks of the encoder.
constexpr std::int64_t kGivenFrames = 64;

// Thrown when nobody wants more.
struct Unwanted {};

// The cause of an error about a row, whose name stands beside it anyway.
std::string cause_of(const Error& error, const Row& row) {
  const std::string text = error.what();
  const std::string prefix = row.name() + ": ";
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace

std::int64_t piece_frames(std::int64_t receptive_frames) {
  return std::max(kLeastPieceFrames, 2 * receptive_frames);
}

RowReader::RowReader(Schedule& schedule, SourceHashes& hashes, const RowReaderOptions& options,
                     Give give)
    : schedule_(schedule), hashes_(hashes), options_(options), give_(std::move(give)) {}

void RowReader::run() {
  while (std::optional<Task> task = schedule_.next()) {
    if (!read_task(std::make_shared<const Task>(std::move(*task)))) return;
  }
}

// False when nobody wants more.
bool RowReader::read_task(const std::shared_ptr<const Task>& task) {
  TaskEnd end = {.task = task};
  try {
    read_row(task);
  } catch (const Unwanted&) {
    return false;
  } catch (const ShortageError&) {
    throw;
  } catch (const Error& error) {
    end.error = cause_of(error, task->row);
  }
  return give_(std::move(end));
}

void RowReader::read_row(const std::shared_ptr<const Task>& task) {
  const Row& row = task->row;
  if (!row.error.empty()) throw Error(row.error);
  if (row.id.size() > kMostIdBytes) {
    throw Error("its id is longer than " + std::to_string(kMostIdBytes) + " bytes");
  }
  if (options_.is_file_per_row && !fits_file_system(file_name_of_id(row.id))) {
    throw Error("its id is too long for the name of a file");
  }
  const FileStamp stamp = stamp_of(row);
  if (row.member && row.member->tar && stamp != *row.member->tar) {
    throw Error("changed since it was listed");
  }
  RowInput input(row, options_.source, options_.rate_hz);
  std::optional<std::uint32_t> pieces;
  if (const auto samples = input.shareable_samples()) {
    pieces = static_cast<std::uint32_t>((*samples + piece_samples() - 1) / piece_samples());
  }
  const Sha256Digest source = hashes_.of(row, stamp);
  std::uint32_t piece = schedule_.begin(*task, source, pieces);
  std::optional<PieceEnd> last;
  if (schedule_.go_on(*task, piece)) {
    begin_stream(task, source, piece, input);
    do {
      PieceEnd end = read_piece(input, ++piece * piece_samples());
      if (end.end) {
        last = end;
        break;
      }
      give(end);
    } while (schedule_.go_on(*task, piece));
  }
  if (stamp_of(row) != stamp) throw Error("changed while it was read");
  if (last) give(*last);
}

void RowReader::begin_stream(const std::shared_ptr<const Task>& task, const Sha256Digest& source,
                             std::uint32_t piece, RowInput& input) {
  const std::int64_t wanted = piece * options_.piece_frames;
  const std::int64_t early = std::min(wanted, options_.receptive_frames);
  give(StreamBegin{task, source, piece, wanted - early, early});
  samples_read_ = (wanted - early) * options_.frame_samples;
  if (samples_read_ > 0) input.skip(samples_read_);
  pending_.clear();
}

// Gives what comes up to sample `end` of the recording, or up to its end, but for what it returns.
PieceEnd RowReader::read_piece(RowInput& input, std::int64_t end) {
  PieceEnd piece;
  while (samples_read_ < end) {
    const std::int64_t most = std::min(kGivenFrames * options_.frame_samples, end - samples_read_);
    fill(input, static_cast<std::size_t>(most));
    if (pending_.empty()) break;
    const auto count = std::min(most, static_cast<std::int64_t>(pending_.size()));
    StreamSamples given;
    given.samples.assign(pending_.begin(), pending_.begin() + count);
    pending_.erase(pending_.begin(), pending_.begin() + count);
    samples_read_ += count;
    for (const float sample : given.samples) piece.peak = std::max(piece.peak, std::abs(sample));
    give(std::move(given));
  }
  // Whether it was the last is known only by what follows.
  if (fill(input, 1)) return piece;
  if (samples_read_ == 0) throw Error("has no samples");
  piece.end = {static_cast<std::uint64_t>(samples_read_),
               static_cast<std::uint64_t>(input.source_samples_read()),
               static_cast<std::uint32_t>(input.source_rate_hz())};
  return piece;
}

// Reads until so many samples are pending. False at the end of the input, with fewer.
bool RowReader::fill(RowInput& input, std::size_t samples) {
  while (pending_.size() < samples && input.read(block_)) {
    pending_.insert(pending_.end(), block_.begin(), block_.end());
  }
  return pending_.size() >= samples;
}

void RowReader::give(StreamItem item) {
  if (!give_(std::move(item))) throw Unwanted();
}

}  // namespace mimi::cli
