// mimi decode: token files to sound.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/audio_output.h"
#include "cli/codec_bank.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/progress.h"
#include "cli/token_input.h"

namespace mimi::cli {
namespace {

std::string named(const std::string& model, std::uint32_t fingerprint) {
  char hex[16];
  std::snprintf(hex, sizeof hex, "%08x", fingerprint);
  return "'" + model + "' (fingerprint " + hex + ")";
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

class FileDecoder {
 public:
  // The model must be the one that `input` was encoded with.
  FileDecoder(TokenInput input, const std::string& output, const Model& model,
              const DecodeOptions& options, const CommonOptions& common)
      : input_(std::move(input)),
        header_(input_.header()),
        decoders_(model, bank_options(input_, options, common)),
        output_({.path = output,
                 .force = options.output.force,
                 .sink = options.sink,
                 .from_hz = header_.sample_rate_hz,
                 .channels = header_.streams}),
        progress_(progress_options(common)) {}

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

  ProgressOptions progress_options(const CommonOptions& common) const {
    ProgressOptions progress = {.name = input_.name(), .quiet = common.quiet};
    if (header_.source_samples && header_.source_rate_hz > 0) {
      progress.total_s = static_cast<double>(*header_.source_samples) / header_.source_rate_hz;
    }
    return progress;
  }

  void take(const TokenSegment& segment) {
    segment_ = segment;
    decoders_.reset(segment.origin_frame);
    lead_in_ = segment.lead_in_samples;
  }

  void take(const TokenBlock& block) {
    std::vector<float> samples;
    naming(input_.name(), [&] { decoders_.push(block.codes, samples); });
    write(std::move(samples), block.padding_samples);
  }

  void take(const TokenGap& gap) {
    const auto frame = static_cast<std::size_t>(header_.frame_samples * header_.streams);
    for (std::uint32_t i = 0; i < gap.frames; ++i) {
      const bool is_last = i + 1 == gap.frames;
      write(std::vector<float>(frame), is_last ? gap.padding_samples : 0);
    }
    const std::uint32_t frames_of_segment = gap.first_frame - segment_.first_frame + gap.frames;
    decoders_.reset(std::int64_t{segment_.origin_frame} + frames_of_segment);
  }

  void take(const TokenSegmentEnd&) {}
  void take(const TokenTotals& totals) { totals_ = totals; }

  // `samples` is [samples x streams].
  void write(std::vector<float> samples, int padding_samples) {
    const auto streams = static_cast<std::size_t>(header_.streams);
    samples.resize(samples.size() - static_cast<std::size_t>(padding_samples) * streams);
    const std::size_t dropped = std::min<std::size_t>(lead_in_, samples.size() / streams);
    samples.erase(samples.begin(),
                  samples.begin() + static_cast<std::ptrdiff_t>(dropped * streams));
    lead_in_ -= dropped;
    samples_written_ += samples.size() / streams;
    output_.write(std::move(samples));
    progress_.update(static_cast<double>(samples_written_) / header_.sample_rate_hz);
  }

  // Of the output, at its rate. The source's own count decides where it is known, so that its rate
  // gives exactly that count back.
  std::int64_t length() const {
    const auto samples = static_cast<std::int64_t>(totals_.samples);
    if (output_.rate_hz() == header_.sample_rate_hz) return samples;
    if (header_.source_rate_hz == 0) {
      return resampled_length(samples, header_.sample_rate_hz, output_.rate_hz());
    }
    return resampled_length(static_cast<std::int64_t>(totals_.source_samples),
                            static_cast<int>(header_.source_rate_hz), output_.rate_hz());
  }

  TokenInput input_;
  const TokenHeader& header_;
  DecoderBank decoders_;
  AudioOutput output_;
  Progress progress_;
  TokenTotals totals_;
  TokenSegment segment_;     // the one that is being decoded
  std::size_t lead_in_ = 0;  // samples still to be dropped
  std::uint64_t samples_written_ = 0;
};

}  // namespace

int run_decode(const DecodeOptions& options, const CommonOptions& common) {
  refuse_outputs(options.inputs, {".wav", ".flac", ".ogg", ".raw"});
  const std::vector<Job> jobs =
      plan_jobs(options.inputs, options.output, options.sink.raw ? ".raw" : ".wav");
  for (const Job& job : jobs) container_of(job.output, options.sink);
  const Model model = open_model(common);
  return run_each(jobs, [&](const Job& job) {
    TokenInput input(job.input);
    check_model(input, model.info());
    FileDecoder decoder(std::move(input), job.output, model, options, common);
    decoder.run();
    report_clipped(job.output, decoder.clipped(), common);
  });
}

}  // namespace mimi::cli
