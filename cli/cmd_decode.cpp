// mimi decode: token files to sound.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "cli/audio_output.h"
#include "cli/codec_bank.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/printable.h"
#include "cli/progress.h"
#include "cli/token_input.h"
#include "core/token_edit.h"

namespace mimi::cli {
namespace {

std::string named(const std::string& model, std::uint32_t fingerprint) {
  return "'" + model + "' (fingerprint " + hex_text(fingerprint) + ")";
}

void check_model(const TokenInput& input, const ModelInfo& model) {
  const TokenHeader& header = input.header();
  const bool same_shape =
      header.sample_rate_hz == model.sample_rate && header.frame_samples == model.frame_samples &&
      header.codebook_size == model.codebook_size && header.levels <= model.levels;
  const bool same_weights =
      header.model_fingerprint == 0 || header.model_fingerprint == model.fingerprint;
  if (same_shape && same_weights) return;
  throw NamedError(input.name(), "was encoded with the model " +
                                     named(header.model_name, header.model_fingerprint) +
                                     ", not with " + named(model.name, model.fingerprint) +
                                     "; --model chooses another");
}

std::vector<int> chosen_levels(const TokenInput& input, const LevelSet& asked) {
  const int there = input.header().levels;
  const int count = asked.count == 0 ? there : asked.count;
  std::vector<int> levels = asked.levels.empty() ? first_levels(count) : asked.levels;
  if (levels.back() < there) return levels;
  throw NamedError(
      input.name(),
      "has " + std::to_string(there) + " levels, --levels asks for " +
          (asked.levels.empty() ? std::to_string(count)
                                : "level " + std::to_string(levels.back()) + ", counted from 0"));
}

// How many levels decoding needs of the model, 0: perhaps all. A pipe does not tell before it is
// read.
int needed_levels(const std::vector<Job>& jobs, const LevelSet& asked) {
  if (!asked.levels.empty()) return asked.levels.back() + 1;
  if (asked.count > 0) return asked.count;
  int most = 1;
  for (const Job& job : jobs) {
    std::error_code ignored;
    if (job.input == "-" || !std::filesystem::is_regular_file(job.input, ignored)) return 0;
    try {
      most = std::max(most, TokenInput(job.input).header().levels);
    } catch (const Error&) {
      // What is wrong with it is told when its turn comes.
    }
  }
  return most;
}

class FileDecoder {
 public:
  // The model must be the one that `input` was encoded with. `part_s` is how long the output will
  // be, where that is known.
  FileDecoder(TokenInput input, const std::string& output, const Model& model,
              const DecodeOptions& options, const CommonOptions& common,
              std::optional<double> part_s)
      : input_(std::move(input)),
        header_(input_.header()),
        warm_up_frames_(warm_up_frames(model, header_, options)),
        decoders_(model, bank_options(input_, options, common)),
        output_({.place = {.path = output, .force = options.output.force},
                 .sink = options.sink,
                 .from_hz = header_.sample_rate_hz,
                 .channels = header_.streams,
                 .expected_s = part_s.value_or(0)}),
        progress_({.name = input_.name(), .total_s = part_s, .quiet = common.quiet}) {
    from_ = sample_at(options.range.from_s.value_or(0), header_.sample_rate_hz);
    if (options.range.to_s) to_ = sample_at(*options.range.to_s, header_.sample_rate_hz);
    if (to_ && *to_ <= from_) throw NamedError(input_.name(), "the part is empty");
  }

  void run() {
    while (const std::optional<TokenRecord> record = input_.next()) {
      std::visit([this](const auto& kind) { take(kind); }, *record);
    }
    // Not before: what follows the totals may still be found to be wrong.
    output_.finish(length());
  }

  std::int64_t clipped() const { return output_.clipped(); }

 private:
  static DecoderBankOptions bank_options(const TokenInput& input, const DecodeOptions& options,
                                         const CommonOptions& common) {
    const TokenHeader& header = input.header();
    return {.decoder = {.levels = chosen_levels(input, options.levels),
                        .stream = stream_options(options.window.value_or(header.window), common)},
            .file_levels = header.levels,
            .streams = header.streams};
  }

  static std::int64_t warm_up_frames(const Model& model, const TokenHeader& header,
                                     const DecodeOptions& options) {
    if (!options.warm_up_s) {
      return receptive_field(model, options.window.value_or(header.window)).decoder_frames;
    }
    const double frame_rate = static_cast<double>(header.sample_rate_hz) / header.frame_samples;
    return static_cast<std::int64_t>(std::ceil(*options.warm_up_s * frame_rate));
  }

  // Decoding begins as late in the segment as gives the bits of the whole.
  void take(const TokenSegment& segment) {
    segment_ = segment;
    frame_ = 0;
    // Of one segment the resampler is never ahead of where the sound may end.
    output_.hold_back(rounding_frames(segment.number, header_.sample_rate_hz, output_.rate_hz()));
    const std::uint64_t skipped = from_ - std::min(from_, segment_start_);
    const std::uint64_t dropped = segment.lead_in_samples + skipped;
    const auto frame_samples = static_cast<std::uint64_t>(header_.frame_samples);
    const auto first = static_cast<std::int64_t>(dropped / frame_samples);
    begin_frame_ = skipped == 0 ? 0 : std::max<std::int64_t>(0, first - warm_up_frames_);
    drop_samples_ = dropped - static_cast<std::uint64_t>(begin_frame_) * frame_samples;
    fresh_at_ = segment.origin_frame + begin_frame_;
  }

  void take(const TokenBlock& block) {
    const std::int64_t skipped = std::clamp<std::int64_t>(begin_frame_ - frame_, 0, block.frames);
    frame_ += block.frames;
    if (skipped == block.frames || is_done()) return;
    const std::size_t width = header_.frame_codes();
    auto codes = block.codes.subspan(static_cast<std::size_t>(skipped) * width);
    while (!codes.empty() && !is_done()) {
      const auto part = codes.first(std::min(codes.size(), frames_at_once() * width));
      codes = codes.subspan(part.size());
      std::vector<float> samples;
      naming(input_.name(), [&] {
        if (fresh_at_) decoders_.reset(*std::exchange(fresh_at_, std::nullopt));
        decoders_.push(part, samples);
      });
      write(std::move(samples), codes.empty() ? block.padding_samples : 0);
    }
  }

  // Of many streams few.
  std::size_t frames_at_once() const {
    constexpr int kSamples = 1 << 20;
    return static_cast<std::size_t>(
        std::max(1, kSamples / (header_.frame_samples * header_.streams)));
  }

  void take(const TokenGap& gap) {
    const std::int64_t end = frame_ + gap.frames;
    const auto frame = static_cast<std::size_t>(header_.frame_samples * header_.streams);
    for (frame_ = std::clamp(begin_frame_, frame_, end); frame_ < end && !is_done(); ++frame_) {
      write(std::vector<float>(frame), frame_ + 1 == end ? gap.padding_samples : 0);
    }
    frame_ = end;
    fresh_at_ = segment_.origin_frame + std::max(frame_, begin_frame_);
  }

  void take(const TokenSegmentEnd& end) { segment_start_ += end.samples; }

  void take(const TokenTotals& totals) {
    totals_ = totals;
    const std::uint64_t last = to_.value_or(from_);
    if (last < totals.samples || (last == totals.samples && (to_ || from_ == 0))) return;
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3f",
                  static_cast<double>(totals.samples) / header_.sample_rate_hz);
    throw NamedError(input_.name(), "ends at " + std::string(seconds) + " s, before the part does");
  }

  bool is_done() const { return to_ && samples_written_ >= *to_ - from_; }

  // `samples` is [samples x streams].
  void write(std::vector<float> samples, int padding_samples) {
    const auto streams = static_cast<std::size_t>(header_.streams);
    std::size_t count = samples.size() / streams - static_cast<std::size_t>(padding_samples);
    const auto dropped = static_cast<std::size_t>(std::min<std::uint64_t>(drop_samples_, count));
    if (to_) count = std::min<std::uint64_t>(count, dropped + (*to_ - from_ - samples_written_));
    samples.resize(count * streams);
    samples.erase(samples.begin(),
                  samples.begin() + static_cast<std::ptrdiff_t>(dropped * streams));
    drop_samples_ -= dropped;
    samples_written_ += samples.size() / streams;
    output_.write(std::move(samples));
    progress_.update(static_cast<double>(samples_written_) / header_.sample_rate_hz);
  }

  // Of the output, at its rate.
  std::int64_t length() const {
    const std::int64_t end = to_ ? output_position(*to_) : whole_length();
    return end - std::min(end, output_position(from_));
  }

  std::int64_t output_position(std::uint64_t sample) const {
    return static_cast<std::int64_t>(
        sample_at_rate(sample, static_cast<std::uint32_t>(header_.sample_rate_hz),
                       static_cast<std::uint32_t>(output_.rate_hz())));
  }

  std::int64_t whole_length() const {
    return length_at({.samples = static_cast<std::int64_t>(totals_.samples),
                      .rate_hz = header_.sample_rate_hz,
                      .source_samples = totals_.source_samples,
                      .source_rate_hz = header_.source_rate_hz,
                      .segments = totals_.segments},
                     output_.rate_hz());
  }

  TokenInput input_;
  const TokenHeader& header_;
  std::int64_t warm_up_frames_;
  DecoderBank decoders_;
  AudioOutput output_;
  Progress progress_;
  std::uint64_t from_ = 0;           // the part, in samples of the whole file
  std::optional<std::uint64_t> to_;  // none: its end
  TokenTotals totals_;
  TokenSegment segment_;             // the one that is being decoded
  std::uint64_t segment_start_ = 0;  // samples of the segments before it
  std::int64_t frame_ = 0;           // of it, the next one
  std::int64_t begin_frame_ = 0;     // of it, where decoding begins
  // Where in its stream decoding must begin afresh, once there is a block: where a gap ends may be
  // beyond what a decoder can count to.
  std::optional<std::int64_t> fresh_at_;
  std::uint64_t drop_samples_ = 0;  // still to be dropped
  std::uint64_t samples_written_ = 0;
};

// How long the sound of a file is; of a pipe, what its header says of the source, if anything.
// A file that is damaged at its end, or claims an endless gap, is refused here, before any work.
std::optional<double> whole_seconds(const std::string& path, const TokenHeader& header) {
  std::error_code ignored;
  if (path != "-" && std::filesystem::is_regular_file(path, ignored)) {
    ByteReader bytes(path);
    const auto info = naming(bytes.name(), [&] { return read_token_info(token_source(bytes)); });
    return static_cast<double>(info.totals.samples) / header.sample_rate_hz;
  }
  if (!header.source_samples || header.source_rate_hz == 0) return std::nullopt;
  return static_cast<double>(*header.source_samples) / header.source_rate_hz;
}

std::optional<double> part_seconds(std::optional<double> whole_s, const TimeRange& range) {
  const double end_s = std::min(whole_s.value_or(HUGE_VAL), range.to_s.value_or(HUGE_VAL));
  if (std::isinf(end_s)) return std::nullopt;
  return std::max(0.0, end_s - range.from_s.value_or(0));
}

}  // namespace

int run_decode(const DecodeOptions& options, const CommonOptions& common) {
  refuse_outputs(options.inputs, {".wav", ".flac", ".ogg", ".raw"});
  const std::vector<Job> jobs =
      plan_jobs(options.inputs, options.output, options.sink.raw ? ".raw" : ".wav");
  for (const Job& job : jobs) container_of(job.output, options.sink);
  const Model model =
      open_model(common, {.use = ModelUse::kDecode, .levels = needed_levels(jobs, options.levels)});
  return run_each(jobs, [&](const Job& job) {
    TokenInput input(job.input);
    check_model(input, model.info());
    const auto part_s = part_seconds(whole_seconds(job.input, input.header()), options.range);
    FileDecoder decoder(std::move(input), job.output, model, options, common, part_s);
    decoder.run();
    report_clipped(job.output, decoder.clipped(), common);
  });
}

}  // namespace mimi::cli
