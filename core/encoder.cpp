#include <algorithm>
#include <cmath>
#include <optional>

#include "core/model.h"
#include "kernels/batch.h"
#include "kernels/float_mode.h"

namespace mimi {
namespace {

// The streaming state of the layers.
struct EncoderState {
  EncoderState(const Model::Impl& model, const StreamOptions& options, int block_frames,
               std::int64_t first_frame)
      : seanet(*model.encoder, block_frames, options.threads, options.tap),
        transformer(*model.encoder_transformer, *model.table, options, 2 * block_frames,
                    2 * first_frame),
        steps(model.encoder_transformer->hidden, model.downsample.history(), 2 * block_frames),
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
    check_use(m, ModelUse::kEncode, o.levels);
    reset(0);
  }

  void reset(std::int64_t first_frame) {
    const kernels::ScopedFloatMode mode;
    is_broken = true;  // where making the new state fails, the old one is gone
    state.emplace(model.impl(), options.stream, block_frames, first_frame);
    begun.clear();
    samples_heard = 0;
    is_broken = false;
  }

  std::size_t frame_samples() const { return static_cast<std::size_t>(model.info().frame_samples); }

  void check_finite(std::span<const float> samples) const;
  // What is ready to be encoded: whole frames at the front of `samples`, or one that is taken
  // together with what was pushed before; none: all has been kept for later.
  struct Block {
    const float* samples = nullptr;
    int frames = 0;
  };
  Block next_block(std::span<const float>& samples);
  // Several streams that are advanced by the same number of frames.
  struct Batch {
    std::vector<Impl*> encoders;
    std::vector<const float*> samples;
    std::vector<std::vector<std::uint16_t>*> codes;
  };
  static void run(const Batch& batch, int frames);
  static void quantize(const Batch& batch, int frames, int most_levels);
  static void downsample(const std::vector<Impl*>& encoders, int frames);
  static void check_pushes(std::span<const EncoderPush> pushes);
  static void advance(std::span<const EncoderPush> pushes);
  void check_whole() const {
    if (is_broken) throw Error("the encoder failed in an earlier call: reset() begins it anew");
  }

  Model model;
  EncoderOptions options;
  int block_frames;
  std::optional<EncoderState> state;
  std::vector<float> begun;  // samples of a frame that was begun, and what follows it of a push
  std::uint64_t samples_heard = 0;
  bool is_broken = false;  // a push or a reset() failed half-way
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

// At most block_frames frames of each.
void Encoder::Impl::run(const Batch& batch, int frames) {
  const kernels::ScopedFloatMode mode;
  const Model::Impl& m = batch.encoders.front()->model.impl();
  std::vector<SeanetEncoderStream*> seanets;
  std::vector<TransformerStream*> transformers;
  std::vector<RowBuffer*> steps;
  std::vector<StageCost*> seanet_costs, transformer_costs, quantizer_costs;
  for (Impl* e : batch.encoders) {
    seanets.push_back(&e->state->seanet);
    transformers.push_back(&e->state->transformer);
    steps.push_back(&e->state->steps);
    seanet_costs.push_back(&e->cost.seanet);
    transformer_costs.push_back(&e->cost.transformer);
    quantizer_costs.push_back(&e->cost.quantizer);
  }
  {
    const StageTimer timer(seanet_costs, frames * m.encoder->flop_per_frame);
    SeanetEncoderStream::run(seanets, batch.samples, frames, steps);
  }
  {
    const StageTimer timer(transformer_costs, frames * (2 * m.encoder_transformer->flop_per_step +
                                                        m.downsample.flop_per_row()));
    TransformerStream::run(transformers, steps, 2 * frames);
    downsample(batch.encoders, frames);
  }
  int most_levels = 0;
  for (const Impl* e : batch.encoders) most_levels = std::max(most_levels, e->options.levels);
  const StageTimer timer(quantizer_costs, frames * m.quantizer->encode_flop_per_frame(most_levels));
  quantize(batch, frames, most_levels);
}

// All streams' latents as one, so that the codebooks are read once. A level's codes do not depend
// on the levels after it.
void Encoder::Impl::quantize(const Batch& batch, int frames, int most_levels) {
  Impl& first = *batch.encoders.front();
  const auto streams = static_cast<int>(batch.encoders.size());
  const auto code_count = [&](int levels) { return static_cast<std::size_t>(frames * levels); };
  if (streams == 1) {
    std::vector<std::uint16_t>& codes = *batch.codes.front();
    const std::size_t before = codes.size();
    codes.resize(before + code_count(most_levels));
    first.state->quantizer.encode(first.state->latent, frames, most_levels, codes.data() + before);
    return;
  }
  const Quantizer& model = *first.model.impl().quantizer;
  RowBuffer latents(model.hidden, 0, streams * frames);
  QuantizerStream together(model, streams * frames, first.options.stream.threads);
  for (int i = 0; i < streams; ++i) {
    const RowBuffer& latent = batch.encoders[static_cast<std::size_t>(i)]->state->latent;
    std::copy_n(latent.row(0), frames * latent.stride(), latents.row(i * frames));
  }
  std::vector<std::uint16_t> all(static_cast<std::size_t>(streams) * code_count(most_levels));
  together.encode(latents, streams * frames, most_levels, all.data());
  const std::uint16_t* row = all.data();
  for (std::size_t i = 0; i < batch.encoders.size(); ++i) {
    std::vector<std::uint16_t>& codes = *batch.codes[i];
    for (int t = 0; t < frames; ++t, row += most_levels) {
      codes.insert(codes.end(), row, row + batch.encoders[i]->options.levels);
    }
  }
}

void Encoder::Impl::downsample(const std::vector<Impl*>& encoders, int frames) {
  const CausalConv& conv = encoders.front()->model.impl().downsample;
  std::vector<kernels::BatchItem> items;
  for (Impl* e : encoders) {
    RowBuffer& steps = e->state->steps;
    RowBuffer& latent = e->state->latent;
    if (!e->state->steps_have_history) {
      // This convolution alone is padded with its first row, not with zeros.
      for (int t = -steps.history(); t < 0; ++t) {
        std::copy_n(steps.row(0), steps.stride(), steps.row(t));
      }
      e->state->steps_have_history = true;
    }
    items.push_back({conv.rows_of(steps), {latent.row(0), latent.stride(), {}}});
  }
  kernels::batch_gemm(encoders.front()->options.stream.threads, conv.weights(), items, frames);
  for (Impl* e : encoders) {
    const RowBuffer& latent = e->state->latent;
    e->state->steps.advance(2 * frames);
    const Tap& tap = e->options.stream.tap;
    if (tap) tap("downsample", latent.row(0), frames, latent.channels(), latent.stride());
  }
}

// Whole frames are encoded where they lie. Those that follow a frame that was begun are brought
// together with it: one alone costs as much as reading all weights does.
Encoder::Impl::Block Encoder::Impl::next_block(std::span<const float>& samples) {
  const std::size_t frame = frame_samples();
  const std::size_t frames =
      std::min((begun.size() + samples.size()) / frame, static_cast<std::size_t>(block_frames));
  if (begun.empty() && frames > 0) return {samples.data(), static_cast<int>(frames)};
  const std::size_t taken = frames > 0 ? frames * frame - begun.size() : samples.size();
  begun.insert(begun.end(), samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(taken));
  samples = samples.subspan(taken);
  return {begun.data(), static_cast<int>(frames)};
}

void Encoder::Impl::check_pushes(std::span<const EncoderPush> pushes) {
  const Impl& first = *pushes.front().encoder->impl_;
  for (std::size_t i = 0; i < pushes.size(); ++i) {
    const Impl& e = *pushes[i].encoder->impl_;
    check_same_batch(first.model, first.options.stream, e.model, e.options.stream);
    for (std::size_t j = 0; j < i; ++j) {
      if (pushes[j].encoder == pushes[i].encoder) {
        throw Error("pushes " + std::to_string(j) + " and " + std::to_string(i) +
                    " are to the same encoder");
      }
      if (pushes[j].codes == pushes[i].codes) {
        throw Error("pushes " + std::to_string(j) + " and " + std::to_string(i) +
                    " append to the same codes");
      }
    }
    e.check_whole();
    e.check_finite(pushes[i].samples);
  }
}

void push_together(std::span<const EncoderPush> pushes) {
  if (pushes.empty()) return;
  Encoder::Impl::check_pushes(pushes);
  for (const EncoderPush& push : pushes) push.encoder->impl_->is_broken = true;
  Encoder::Impl::advance(pushes);
  for (const EncoderPush& push : pushes) push.encoder->impl_->is_broken = false;
}

void Encoder::Impl::advance(std::span<const EncoderPush> pushes) {
  std::vector<std::span<const float>> rest;
  for (const EncoderPush& push : pushes) {
    rest.push_back(push.samples);
    push.encoder->impl_->samples_heard += push.samples.size();
  }
  while (true) {
    Batch batch;
    std::vector<std::size_t> members;
    int frames = 0;
    for (std::size_t i = 0; i < pushes.size(); ++i) {
      const Block block = pushes[i].encoder->impl_->next_block(rest[i]);
      if (block.frames == 0) continue;
      frames = frames == 0 ? block.frames : std::min(frames, block.frames);
      batch.encoders.push_back(pushes[i].encoder->impl_.get());
      batch.samples.push_back(block.samples);
      batch.codes.push_back(pushes[i].codes);
      members.push_back(i);
    }
    if (frames == 0) return;
    run(batch, frames);
    for (std::size_t k = 0; k < members.size(); ++k) {
      Impl& e = *batch.encoders[k];
      std::span<const float>& samples = rest[members[k]];
      const std::size_t done = static_cast<std::size_t>(frames) * e.frame_samples();
      if (e.begun.empty()) {
        samples = samples.subspan(done);
      } else {
        e.begun.erase(e.begun.begin(), e.begun.begin() + static_cast<std::ptrdiff_t>(done));
      }
    }
  }
}
Encoder::Encoder(const Model& model, const EncoderOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

void Encoder::push(std::span<const float> samples, std::vector<std::uint16_t>& codes) {
  const EncoderPush push = {this, samples, &codes};
  push_together(std::span(&push, 1));
}

void Encoder::finish(std::vector<std::uint16_t>& codes) {
  Impl& e = *impl_;
  e.check_whole();
  if (!e.begun.empty()) {
    const std::vector<float> silence(e.frame_samples() - e.begun.size());
    push(silence, codes);
  }
  reset();
}

void Encoder::reset(std::int64_t first_frame) {
  check_first_frame(first_frame);
  impl_->reset(first_frame);
}
int Encoder::levels() const { return impl_->options.levels; }
const CodecCost& Encoder::cost() const { return impl_->cost; }

}  // namespace mimi
