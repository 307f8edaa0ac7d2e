// mimi encode: recordings to token files.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/audio_input.h"
#include "cli/codec_bank.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/token_output.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

TokenHeader make_header(const Model& model, const EncodeOptions& options, const AudioInput& input) {
  const ModelInfo& info = model.info();
  TokenHeader header;
  header.sample_rate_hz = info.sample_rate;
  header.frame_samples = info.frame_samples;
  header.levels = options.levels;
  header.streams = input.streams();
  header.codebook_size = info.codebook_size;
  header.source_rate_hz = static_cast<std::uint32_t>(input.source_rate_hz());
  if (input.source_frames()) {
    header.source_samples = static_cast<std::uint64_t>(*input.source_frames());
  }
  header.model_name = info.name;
  header.model_fingerprint = info.fingerprint;
  header.window = options.window;
  header.dtype = TokenDtype::kF32;
  header.arithmetic = kF32Arithmetic;
  return header;
}

class FileEncoder {
 public:
  FileEncoder(const Job& job, const Model& model, const EncodeOptions& options,
              const CommonOptions& common)
      : model_(model),
        input_(job.input, options.source, model.info().sample_rate),
        file_(job.output, options.output.force),
        encoders_(model,
                  {.levels = options.levels, .stream = stream_options(options.window, common)},
                  input_.streams()),
        progress_(
            {.name = input_.name(), .total_s = input_.source_seconds(), .quiet = common.quiet}),
        tokens_(token_sink(file_), make_header(model, options, input_),
                block_frames(options.block_frames, file_)) {}

  void run() {
    tokens_.begin_segment();
    while (input_.read(samples_)) {
      samples_read_ += static_cast<std::int64_t>(samples_.size()) / input_.streams();
      codes_.clear();
      naming(input_.name(), [this] { encoders_.push(samples_, codes_); });
      write(0);
      progress_.update(static_cast<double>(samples_read_) / model_.info().sample_rate);
    }
    codes_.clear();
    encoders_.finish(codes_);
    const int frame_samples = model_.info().frame_samples;
    const auto begun = static_cast<int>(samples_read_ % frame_samples);
    write(codes_.empty() ? 0 : frame_samples - begun);
    naming(input_.name(), [this] {
      tokens_.end_segment(static_cast<std::uint64_t>(input_.source_frames_read()));
      tokens_.finish();
    });
    file_.commit();
  }

 private:
  void write(int padding_samples) {
    if (!codes_.empty()) tokens_.write(codes_, padding_samples);
  }

  const Model& model_;
  AudioInput input_;
  OutputFile file_;
  EncoderBank encoders_;
  Progress progress_;
  TokenWriter tokens_;
  std::vector<float> samples_;        // [samples x streams]
  std::vector<std::uint16_t> codes_;  // [frames x streams x levels]
  std::int64_t samples_read_ = 0;     // of one stream
};

}  // namespace

int run_encode(const EncodeOptions& options, const CommonOptions& common) {
  refuse_outputs(options.inputs, {".mimi"});
  const std::vector<Job> jobs = plan_jobs(options.inputs, options.output, ".mimi");
  const Model model = open_model(common);
  EncodeOptions resolved = options;
  resolved.levels = encoded_levels(options.levels, model);
  return run_each(jobs, [&](const Job& job) { FileEncoder(job, model, resolved, common).run(); });
}

}  // namespace mimi::cli
