// mimi roundtrip: what the codec makes of a recording, without a file of tokens between.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/audio_input.h"
#include "cli/audio_output.h"
#include "cli/codec_bank.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/plot/plotter.h"
#include "cli/printable.h"
#include "cli/progress.h"

namespace mimi::cli {
namespace {

class Roundtrip {
 public:
  Roundtrip(const Job& job, const Model& model, const RoundtripOptions& options,
            const CommonOptions& common)
      : model_(model.info()),
        levels_(options.levels),
        input_(job.input, options.source, model_.sample_rate),
        encoders_(model,
                  {.levels = options.levels, .stream = stream_options(options.window, common)},
                  input_.streams()),
        decoders_(model, {.decoder = {.levels = first_levels(options.levels),
                                      .stream = stream_options(options.window, common)},
                          .file_levels = options.levels,
                          .streams = input_.streams()}),
        output_({.place = {.path = job.output, .force = options.output.force},
                 .sink = options.sink,
                 .from_hz = model_.sample_rate,
                 .channels = input_.streams(),
                 .expected_s = input_.source_seconds().value_or(0)}),
        progress_(
            {.name = input_.name(), .total_s = input_.source_seconds(), .quiet = common.quiet}) {
    if (options.plot.empty()) return;
    plotter_.emplace(model,
                     PlotRequest{.name = input_.name(),
                                 .place = {.path = options.plot, .force = options.output.force},
                                 .levels = options.levels,
                                 .range = {}},
                     stream_options(options.window, common));
  }

  void run() {
    std::vector<float> samples;
    std::vector<std::uint16_t> codes;
    while (input_.read(samples)) {
      samples_read_ += static_cast<std::int64_t>(samples.size()) / input_.streams();
      codes.clear();
      naming(input_.name(), [&] { encoders_.push(samples, codes); });
      if (plotter_) plotter_->push(samples);
      decode(codes);
      progress_.update(seconds());
    }
    codes.clear();
    encoders_.finish(codes);
    decode(codes);
    // Before the sound is in place, since it may fail.
    if (plotter_) plotter_->draw();
    output_.finish(
        resampled_length(input_.source_frames_read(), input_.source_rate_hz(), output_.rate_hz()));
    if (plotter_) plotter_->commit();
  }

  // Of audio.
  double seconds() const { return static_cast<double>(samples_read_) / model_.sample_rate; }
  std::int64_t clipped() const { return output_.clipped(); }

  double kilobits_per_second() const {
    int code_bits = 0;
    while (1 << code_bits < model_.codebook_size) ++code_bits;
    const double frames_per_second = static_cast<double>(model_.sample_rate) / model_.frame_samples;
    return input_.streams() * levels_ * code_bits * frames_per_second / 1000;
  }

 private:
  // Of the last frame only what was heard is written, not what it was padded with.
  void decode(const std::vector<std::uint16_t>& codes) {
    if (codes.empty()) return;
    std::vector<float> samples;
    decoders_.push(codes, samples);
    const std::int64_t streams = input_.streams();
    const std::int64_t count = std::min(static_cast<std::int64_t>(samples.size()) / streams,
                                        samples_read_ - samples_written_);
    samples.resize(static_cast<std::size_t>(count * streams));
    samples_written_ += count;
    output_.write(std::move(samples));
  }

  const ModelInfo& model_;
  int levels_;
  AudioInput input_;
  EncoderBank encoders_;
  DecoderBank decoders_;
  AudioOutput output_;
  Progress progress_;
  std::optional<Plotter> plotter_;
  std::int64_t samples_read_ = 0;  // of one stream, as is samples_written_
  std::int64_t samples_written_ = 0;
};

void check_plot(const RoundtripOptions& options, const std::string& output) {
  if (options.plot.empty()) return;
  picture_format(options.plot);
  refuse_terminal(options.plot, options.output.force);
  if (is_same_file(options.input, options.plot)) {
    throw UsageError(options.input + ": would be overwritten by its own plot");
  }
  if (is_same_place(options.plot, output)) {
    throw UsageError(output_name(options.plot) + ": would be both the sound and its plot");
  }
  if (options.source.channels.kind == ChannelChoice::Kind::kKeep) {
    throw UsageError("--plot draws one channel, --channels keep codes each");
  }
}

}  // namespace

int run_roundtrip(const RoundtripOptions& options, const CommonOptions& common) {
  const std::string suffix = options.sink.raw ? ".mimi.raw" : ".mimi.wav";
  const std::vector<Job> jobs = plan_jobs({options.input}, options.output, suffix);
  container_of(jobs.front().output, options.sink);
  check_plot(options, jobs.front().output);
  const Model model = open_model(common, encoding(ModelUse::kBoth, options.levels));
  RoundtripOptions resolved = options;
  resolved.levels = encoded_levels(options.levels, model);
  return run_each(jobs, [&](const Job& job) {
    const auto start = std::chrono::steady_clock::now();
    Roundtrip roundtrip(job, model, resolved, common);
    roundtrip.run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    report_clipped(job.output, roundtrip.clipped(), common);
    if (common.quiet) return;
    std::fprintf(stderr, "%s: %.2f s, %d levels, %.2f kbps, %.1f x real time\n",
                 printable(output_name(job.output)).c_str(), roundtrip.seconds(), resolved.levels,
                 roundtrip.kilobits_per_second(), roundtrip.seconds() / elapsed.count());
  });
}

}  // namespace mimi::cli
