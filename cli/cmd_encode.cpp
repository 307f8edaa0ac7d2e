// mimi encode: recordings to token files.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "cli/audio_input.h"
#include "cli/codec_bank.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/token_output.h"
#include "core/token_edit.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

// Whoever reads a pipe should not wait for a block to fill.
int block_frames(const EncodeOptions& options, const OutputFile& file) {
  if (options.block_frames > 0) return options.block_frames;
  return file.is_regular() ? kMaxBlockFrames : 1;
}

// The part of a recording to encode, in samples at the codec's rate.
struct Part {
  Part(const EncodeOptions& options, const Model& model)
      : frame_samples(model.info().frame_samples) {
    const int rate = model.info().sample_rate;
    from = static_cast<std::int64_t>(sample_at(options.range.from_s.value_or(0), rate));
    if (options.range.to_s) to = static_cast<std::int64_t>(sample_at(*options.range.to_s, rate));
    const double frame_rate = static_cast<double>(rate) / frame_samples;
    const std::int64_t warm_up =
        options.warm_up_s ? static_cast<std::int64_t>(std::ceil(*options.warm_up_s * frame_rate))
                          : receptive_field(model, options.window).encoder_frames;
    first_frame = from / frame_samples;
    begin_frame = std::max<std::int64_t>(0, first_frame - warm_up);
  }

  std::int64_t begin() const { return begin_frame * frame_samples; }
  // The last frame is encoded whole, so that its codes are the whole recording's.
  std::int64_t end() const {
    if (!to) return std::numeric_limits<std::int64_t>::max();
    return (*to + frame_samples - 1) / frame_samples * frame_samples;
  }

  // Of the last frame, where the recording has `all` samples.
  int padding(std::int64_t all) const {
    const std::int64_t last = to.value_or(all);
    return static_cast<int>((frame_samples - last % frame_samples) % frame_samples);
  }

  int frame_samples;
  std::int64_t from = 0;
  std::optional<std::int64_t> to;  // none: the end
  std::int64_t first_frame;        // that is kept
  std::int64_t begin_frame;        // where encoding begins, early enough for the first one
};

class FileEncoder {
 public:
  FileEncoder(const Job& job, const Model& model, const EncodeOptions& options,
              const CommonOptions& common)
      : model_(model.info()),
        part_(options, model),
        verify_(options.verify),
        input_(job.input, options.source, model_.sample_rate),
        file_(job.output, options.output.force),
        encoders_(model,
                  {.levels = options.levels, .stream = stream_options(options.window, common)},
                  input_.streams()),
        progress_(
            {.name = input_.name(), .total_s = input_.source_seconds(), .quiet = common.quiet}),
        codes_to_drop_(static_cast<std::size_t>((part_.first_frame - part_.begin_frame) *
                                                options.levels * input_.streams())),
        tokens_(token_sink(file_), header(model, options), block_frames(options, file_)) {
    if (part_.to && *part_.to <= part_.from) {
      throw NamedError(input_.name(), "the part is empty");
    }
  }

  void run() {
    naming(input_.name(), [this] { encoders_.reset(part_.begin_frame); });
    tokens_.begin_segment({.origin_frame = static_cast<std::uint32_t>(part_.first_frame),
                           .lead_in_samples = static_cast<std::uint32_t>(
                               part_.from - part_.first_frame * part_.frame_samples)});
    write(0);  // the header goes ahead of the first frame
    while (samples_read_ < part_.end() && input_.read(samples_)) {
      clip_samples();
      codes_.clear();
      naming(input_.name(), [this] { encoders_.push(samples_, codes_); });
      write(samples_read_ < part_.end() ? 0 : part_.padding(samples_read_));
      progress_.update(static_cast<double>(samples_read_) / model_.sample_rate);
    }
    check_length();
    codes_.clear();
    encoders_.finish(codes_);
    write(codes_.empty() ? 0 : part_.padding(samples_read_));
    const TokenTotals totals = naming(input_.name(), [this] {
      tokens_.end_segment(source_samples(input_.source_frames_read()));
      return tokens_.finish();
    });
    if (verify_) verify_tokens(file_, totals);
    file_.commit();
  }

 private:
  TokenHeader header(const Model& model, const EncodeOptions& options) const {
    if (input_.streams() > kMaxTokenStreams) {
      throw NamedError(input_.name(), "has " + std::to_string(input_.streams()) +
                                          " channels, a token file holds at most " +
                                          std::to_string(kMaxTokenStreams) + " streams");
    }
    TokenHeader header = recording_header(model, input_, options.levels, options.window);
    if (header.source_samples || part_.to) {
      header.source_samples = source_samples(input_.source_frames().value_or(0));
    }
    return header;
  }

  // Of the part, at the source's rate, where the source has `all`.
  std::uint64_t source_samples(std::int64_t all) const {
    const auto position = [this](std::int64_t sample) {
      return sample_at_rate(static_cast<std::uint64_t>(sample),
                            static_cast<std::uint32_t>(model_.sample_rate),
                            static_cast<std::uint32_t>(input_.source_rate_hz()));
    };
    const std::uint64_t end = part_.to ? position(*part_.to) : static_cast<std::uint64_t>(all);
    return end - std::min(end, position(part_.from));
  }

  // Leaves those of samples_ that are to be encoded.
  void clip_samples() {
    const std::int64_t streams = input_.streams();
    const std::int64_t first = samples_read_;
    const std::int64_t count = static_cast<std::int64_t>(samples_.size()) / streams;
    samples_read_ += count;
    const std::int64_t end = std::min(count, part_.end() - first);
    const std::int64_t begin = std::clamp<std::int64_t>(part_.begin() - first, 0, end);
    samples_.resize(static_cast<std::size_t>(end * streams));
    samples_.erase(samples_.begin(), samples_.begin() + begin * streams);
  }

  void check_length() const {
    const bool is_there =
        part_.to ? samples_read_ >= *part_.to : part_.from == 0 || samples_read_ > part_.from;
    if (is_there) return;
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3f",
                  static_cast<double>(samples_read_) / model_.sample_rate);
    throw NamedError(input_.name(), "ends at " + std::string(seconds) + " s, before the part does");
  }

  void write(int padding_samples) {
    const std::size_t dropped = std::min(codes_to_drop_, codes_.size());
    codes_to_drop_ -= dropped;
    codes_.erase(codes_.begin(), codes_.begin() + static_cast<std::ptrdiff_t>(dropped));
    if (!codes_.empty()) tokens_.write(codes_, padding_samples);
    if (!file_.is_regular()) file_.flush();
  }

  const ModelInfo& model_;
  Part part_;
  bool verify_;
  AudioInput input_;
  OutputFile file_;
  EncoderBank encoders_;
  Progress progress_;
  std::size_t codes_to_drop_;  // of the frames before the part
  TokenWriter tokens_;
  std::vector<float> samples_;        // [samples x streams]
  std::vector<std::uint16_t> codes_;  // [frames x streams x levels]
  std::int64_t samples_read_ = 0;     // of one stream
};

// Before any work: what was sent down a pipe is gone.
void check_verifiable(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    std::error_code error;
    const fs::file_type type = fs::status(job.output, error).type();
    const bool is_stream = job.output == "-" || type == fs::file_type::fifo ||
                           type == fs::file_type::character || type == fs::file_type::socket;
    if (!is_stream) continue;
    throw UsageError(output_name(job.output) +
                     ": --verify reads back what was written, and needs a file: give -o FILE");
  }
}

}  // namespace

int run_encode(const EncodeOptions& options, const CommonOptions& common) {
  refuse_outputs(options.inputs, {".mimi"});
  const std::vector<Job> jobs = plan_jobs(options.inputs, options.output, ".mimi");
  if (options.verify) check_verifiable(jobs);
  const Model model = open_model(common, encoding(ModelUse::kEncode, options.levels));
  EncodeOptions resolved = options;
  resolved.levels = encoded_levels(options.levels, model);
  return run_each(jobs, [&](const Job& job) { FileEncoder(job, model, resolved, common).run(); });
}

}  // namespace mimi::cli
