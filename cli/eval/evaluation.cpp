#include "cli/eval/evaluation.h"

#include <cstddef>
#include <memory>
#include <span>

#include "cli/audio_input.h"
#include "cli/level_sweep.h"
#include "cli/named_error.h"
#include "cli/progress.h"
#include "cli/token_output.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

// How long a file of tokens becomes, without the file.
class TokenSize {
 public:
  explicit TokenSize(const TokenHeader& header)
      : writer_([this](std::span<const std::byte> bytes) { bytes_ += bytes.size(); }, header) {
    writer_.begin_segment();
  }
  TokenSize(const TokenSize&) = delete;
  TokenSize& operator=(const TokenSize&) = delete;

  void add(std::span<const std::uint16_t> codes, int padding_samples) {
    writer_.write(codes, padding_samples);
  }
  std::uint64_t finish(std::int64_t source_samples) {
    writer_.end_segment(static_cast<std::uint64_t>(source_samples));
    writer_.finish();
    return bytes_;
  }

 private:
  std::uint64_t bytes_ = 0;
  TokenWriter writer_;
};

// All that is summed up of one number of levels.
struct LevelMeter {
  LevelMeter(const TokenHeader& header, int rate_hz) : size(header), stream(rate_hz) {}

  TokenSize size;
  FeatureStream stream;
  Features features;
  DistanceMeter distances;
};

class Evaluation {
 public:
  Evaluation(const std::string& path, const Model& model, const EvalOptions& options,
             const CommonOptions& common)
      : rate_hz_(model.info().sample_rate),
        input_(path, options.source, rate_hz_),
        sweep_(model, options.levels, stream_options(options.window, common)),
        stream_(rate_hz_),
        codes_(options.levels.back(), model.info().codebook_size),
        progress_(
            {.name = input_.name(), .total_s = input_.source_seconds(), .quiet = common.quiet}) {
    for (const int levels : options.levels) {
      meters_.push_back(std::make_unique<LevelMeter>(
          recording_header(model, input_, levels, options.window), rate_hz_));
    }
  }

  void run() {
    const auto use = [this](const SweepBlock& block) { add(block); };
    std::vector<float> samples;
    while (input_.read(samples)) {
      naming(input_.name(), [&] { sweep_.push(samples, use); });
      progress_.update(seconds());
    }
    sweep_.finish(use);
    if (samples_ == 0) throw NamedError(input_.name(), "has no samples");
    stream_.finish(features_);
    for (const auto& meter : meters_) meter->stream.finish(meter->features);
    compare_features();
  }

  RecordingFigures figures(const std::vector<int>& levels) {
    RecordingFigures figures{.name = input_.name(), .seconds = seconds(), .levels = {}};
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const std::uint64_t bytes = naming(
          input_.name(), [&] { return meters_[i]->size.finish(input_.source_frames_read()); });
      figures.levels.push_back({.levels = levels[i],
                                .distances = meters_[i]->distances.result(),
                                .bits_per_second = 8 * static_cast<double>(bytes) / seconds()});
    }
    return figures;
  }

  const CodeStatistics& codes() const { return codes_; }

 private:
  double seconds() const { return static_cast<double>(samples_) / rate_hz_; }

  void add(const SweepBlock& block) {
    samples_ += static_cast<std::int64_t>(block.original.size());
    codes_.add(block.views.back().codes);
    stream_.push(block.original, features_);
    for (std::size_t i = 0; i < meters_.size(); ++i) {
      const LevelView& view = block.views[i];
      meters_[i]->size.add(view.codes, block.padding_samples);
      meters_[i]->distances.add_samples(block.original, view.decoded);
      meters_[i]->stream.push(view.decoded, meters_[i]->features);
    }
    compare_features();
  }

  void compare_features() {
    for (const auto& meter : meters_) {
      meter->distances.add_features(features_, meter->features);
      meter->features.clear();
    }
    features_.clear();
  }

  int rate_hz_;
  AudioInput input_;
  LevelSweep sweep_;
  FeatureStream stream_;  // of the original, as is features_
  Features features_;
  std::vector<std::unique_ptr<LevelMeter>> meters_;
  CodeStatistics codes_;
  Progress progress_;
  std::int64_t samples_ = 0;
};

}  // namespace

RecordingFigures evaluate(const std::string& input, const Model& model, const EvalOptions& options,
                          const CommonOptions& common, CodeStatistics& codes) {
  Evaluation evaluation(input, model, options, common);
  evaluation.run();
  codes.add(evaluation.codes());
  return evaluation.figures(options.levels);
}

}  // namespace mimi::cli
