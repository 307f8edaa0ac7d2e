#include <algorithm>
#include <cmath>
#include <optional>

#include "core/model.h"
#include "kernels/float_mode.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

// The streaming state of the layers.
struct EncoderState {
  EncoderState(const Model::Impl& model, const StreamOptions& options, int block_frames,
               std::int64_t first_frame)
      : seanet(*model.encoder, block_frames, options.threads, options.tap),
        transformer(*model.encoder_transformer, *model.table, options, 2 * block_frames,
                    2 * first_frame),
        steps(model.encoder_transformer->hidden, model.downsample->history(), 2 * block_frames),
        latent(model.encoder_transformer->hidden, 0, block_frames),
        quantizer(*model.quantizer, block_frames, options.threads) {}

  SeanetEncoderStream seanet;
  TransformerStream transformer;
  RowBuffer steps;  // [2 * frames x hidden], at 25 Hz
  bool steps_have_history = false;
  RowBuffer latent;  // [frames x hidden]
  QuantizerStream quantizer;
};

}  // namespace

struct Encoder::Impl {
  Impl(const Model& m, const EncoderOptions& o)
      : model(m), options(o), block_frames(checked_block_frames(o.stream)) {
    const int most = m.info().levels;
    if (o.levels < 1 || o.levels > most) {
      throw Error("levels: found " + std::to_string(o.levels) + ", expected 1 to " +
                  std::to_string(most) + ", what the model '" + m.info().name + "' has");
    }
    reset(0);
  }

  void reset(std::int64_t first_frame) {
    const kernels::ScopedFloatMode mode;
    state.emplace(model.impl(), options.stream, block_frames, first_frame);
    begun_frame.clear();
    samples_heard = 0;
  }

  std::size_t frame_samples() const { return static_cast<std::size_t>(model.info().frame_samples); }

  void check_finite(std::span<const float> samples) const;
  void run(const float* samples, int frames, std::vector<std::uint16_t>& codes);
  void downsample(int frames);

  Model model;
  EncoderOptions options;
  int block_frames;
  std::optional<EncoderState> state;
  std::vector<float> begun_frame;  // samples that do not fill a frame yet
  std::uint64_t samples_heard = 0;
  CodecCost cost;
};

void Encoder::Impl::check_finite(std::span<const float> samples) const {
  const auto bad =
      std::find_if(samples.begin(), samples.end(), [](float x) { return !std::isfinite(x); });
  if (bad == samples.end()) return;
  const auto index = samples_heard + static_cast<std::uint64_t>(bad - samples.begin());
  throw Error("sample " + std::to_string(index) + " is " +
              (std::isnan(*bad) ? "not a number" : "infinite"));
}

// At most block_frames frames.
void Encoder::Impl::run(const float* samples, int frames, std::vector<std::uint16_t>& codes) {
  const Model::Impl& m = model.impl();
  const kernels::ScopedFloatMode mode;
  {
    const StageTimer timer(cost.seanet, frames * m.encoder->flop_per_frame);
    state->seanet.run(samples, frames, state->steps);
  }
  {
    const StageTimer timer(cost.transformer, frames * (2 * m.encoder_transformer->flop_per_step +
                                                       m.downsample->weights().flop_per_row()));
    state->transformer.run(state->steps, 2 * frames);
    downsample(frames);
  }
  const StageTimer timer(cost.quantizer,
                         frames * m.quantizer->encode_flop_per_frame(options.levels));
  const std::size_t first = codes.size();
  codes.resize(first + static_cast<std::size_t>(frames) * static_cast<std::size_t>(options.levels));
  state->quantizer.encode(state->latent, frames, options.levels, codes.data() + first);
}

void Encoder::Impl::downsample(int frames) {
  RowBuffer& steps = state->steps;
  RowBuffer& latent = state->latent;
  const CausalConv& conv = *model.impl().downsample;
  if (!state->steps_have_history) {
    // This convolution alone is padded with its first row, not with zeros.
    for (int t = -steps.history(); t < 0; ++t) {
      std::copy_n(steps.row(0), steps.stride(), steps.row(t));
    }
    state->steps_have_history = true;
  }
  kernels::parallel_gemm(options.stream.threads, conv.weights(), conv.rows_of(steps), frames,
                         {latent.row(0), latent.stride(), {}});
  steps.advance(2 * frames);
  const Tap& tap = options.stream.tap;
  if (tap) tap("downsample", latent.row(0), frames, latent.channels(), latent.stride());
}

Encoder::Encoder(const Model& model, const EncoderOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

void Encoder::push(std::span<const float> samples, std::vector<std::uint16_t>& codes) {
  Impl& e = *impl_;
  e.check_finite(samples);
  e.samples_heard += samples.size();
  const std::size_t frame = e.frame_samples();
  while (!samples.empty()) {
    if (e.begun_frame.empty() && samples.size() >= frame) {
      const std::size_t frames =
          std::min(samples.size() / frame, static_cast<std::size_t>(e.block_frames));
      e.run(samples.data(), static_cast<int>(frames), codes);
      samples = samples.subspan(frames * frame);
      continue;
    }
    const std::size_t taken = std::min(frame - e.begun_frame.size(), samples.size());
    e.begun_frame.insert(e.begun_frame.end(), samples.begin(),
                         samples.begin() + static_cast<std::ptrdiff_t>(taken));
    samples = samples.subspan(taken);
    if (e.begun_frame.size() == frame) {
      e.run(e.begun_frame.data(), 1, codes);
      e.begun_frame.clear();
    }
  }
}

void Encoder::finish(std::vector<std::uint16_t>& codes) {
  Impl& e = *impl_;
  if (!e.begun_frame.empty()) {
    e.begun_frame.resize(e.frame_samples(), 0.0f);
    e.run(e.begun_frame.data(), 1, codes);
  }
  reset();
}

void Encoder::reset(std::int64_t first_frame) {
  if (first_frame < 0) {
    throw Error("first frame: found " + std::to_string(first_frame) + ", expected 0 or more");
  }
  impl_->reset(first_frame);
}
int Encoder::levels() const { return impl_->options.levels; }
const CodecCost& Encoder::cost() const { return impl_->cost; }

}  // namespace mimi
