#include "cli/dataset/row_input.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/named_error.h"
#include "cli/printable.h"

namespace mimi::cli {
namespace {

// Manifests round: an end may be so much later than the recording's own, which is then meant.
constexpr double kEndToleranceSeconds = 0.1;

std::string seconds_text(double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f s", seconds);
  return text;
}

SourceOptions with_channel(SourceOptions options, const Row& row) {
  if (row.channel) {
    options.channels = {.kind = ChannelChoice::Kind::kOne, .index = *row.channel - 1};
  }
  return options;
}

}  // namespace

std::unique_ptr<ByteReader> open_row(const Row& row) {
  if (!row.member) return std::make_unique<ByteReader>(row.source);
  return std::make_unique<ByteReader>(row.source, row.name(), row.member->offset,
                                      row.member->bytes);
}

RowInput::RowInput(const Row& row, const SourceOptions& options, int rate_hz) : name_(row.name()) {
  std::unique_ptr<AudioSource> source = open_audio_source(open_row(row), options);
  if (row.channel && *row.channel > source->channels()) {
    throw NamedError(name_, "has " +
                                counted(static_cast<std::uint64_t>(source->channels()), "channel") +
                                ", the row asks for number " + std::to_string(*row.channel));
  }
  select_range(*source, row);
  input_ = std::make_unique<AudioInput>(std::move(source), with_channel(options, row), rate_hz);
}

void RowInput::select_range(AudioSource& source, const Row& row) {
  if (!row.start_s && !row.end_s) return;
  const double rate = source.rate_hz();
  const std::int64_t first = std::llround(row.start_s.value_or(0) * rate);
  const std::optional<std::int64_t> all = source.frames();
  if (all && first >= *all && first > 0) {
    throw NamedError(name_, "its start, " + seconds_text(static_cast<double>(first) / rate) +
                                ", is not before the recording's end, " +
                                seconds_text(static_cast<double>(*all) / rate));
  }
  source.skip(first);
  first_frame_ = first;
  if (!row.end_s) return;
  const std::int64_t last =
      std::max(first + 1, static_cast<std::int64_t>(std::llround(*row.end_s * rate)));
  const auto tolerance = static_cast<std::int64_t>(kEndToleranceSeconds * rate);
  if (all && last - tolerance > *all) {
    throw NamedError(name_, "its end, " + seconds_text(static_cast<double>(last) / rate) +
                                ", is after the recording's, " +
                                seconds_text(static_cast<double>(*all) / rate));
  }
  least_frames_ = last - tolerance - first;
  source.end_after(std::min(last, all.value_or(last)) - first);
}

bool RowInput::read(std::vector<float>& samples) {
  if (input_->read(samples)) return true;
  if (input_->source_frames_read() >= least_frames_) return false;
  throw NamedError(name_, "the recording ends before the row's end");
}

std::optional<std::int64_t> RowInput::shareable_samples() const {
  if (!input_->skips_quickly()) return std::nullopt;
  const std::optional<std::int64_t> all = input_->source_frames();
  return all ? std::optional(*all - first_frame_) : std::nullopt;
}

}  // namespace mimi::cli
