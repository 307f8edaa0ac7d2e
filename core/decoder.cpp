#include <algorithm>
#include <optional>

#include "core/model.h"
#include "kernels/float_mode.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

// The streaming state of the layers.
struct DecoderState {
  DecoderState(const Model::Impl& model, const StreamOptions& options, int block_frames,
               std::int64_t first_frame)
      : quantizer(*model.quantizer, block_frames, options.threads),
        latent(model.decoder_transformer->hidden, DepthwiseUpsample::kHistory, block_frames),
        transformer(*model.decoder_transformer, *model.table, options, 2 * block_frames,
                    2 * first_frame),
        seanet(*model.decoder, *model.table, block_frames, options.threads, options.tap) {}

  QuantizerStream quantizer;
  RowBuffer latent;  // [frames x hidden]
  TransformerStream transformer;
  SeanetDecoderStream seanet;
};

void check_levels(const std::vector<int>& levels, const ModelInfo& info) {
  if (levels.empty()) throw Error("levels: found none, expected at least one");
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (levels[i] < 0 || levels[i] >= info.levels) {
      throw Error("level: found " + std::to_string(levels[i]) + ", expected 0 to " +
                  std::to_string(info.levels - 1) + ", what the model '" + info.name + "' has");
    }
    if (i > 0 && levels[i] <= levels[i - 1]) {
      throw Error("levels: found " + std::to_string(levels[i]) + " after " +
                  std::to_string(levels[i - 1]) + ", expected ascending order");
    }
  }
}

}  // namespace

struct Decoder::Impl {
  Impl(const Model& m, const DecoderOptions& o)
      : model(m), options(o), block_frames(checked_block_frames(o.stream)) {
    check_levels(o.levels, m.info());
    check_use(m, ModelUse::kDecode, o.levels.back() + 1);
    reset(0);
  }

  void reset(std::int64_t first_frame) {
    const kernels::ScopedFloatMode mode;
    is_broken = true;  // where making the new state fails, the old one is gone
    state.emplace(model.impl(), options.stream, block_frames, first_frame);
    frames_heard = 0;
    is_broken = false;
  }

  void check_codes(std::span<const std::uint16_t> codes) const;
  // Several streams that are advanced by the same number of frames.
  struct Batch {
    std::vector<Impl*> decoders;
    std::vector<const std::uint16_t*> codes;
    std::vector<float*> samples;

    // Calls run(i) for each, several at once: then what each shares out runs on one thread or few.
    template <typename Run>
    void for_each(Run run) const {
      if (decoders.size() == 1) return run(std::size_t{0});
      kernels::parallel_for(decoders.front()->options.stream.threads,
                            static_cast<int>(decoders.size()),
                            [&](int i, int) { run(static_cast<std::size_t>(i)); });
    }
  };
  static void run(const Batch& batch, int frames);
  void dequantize(const std::uint16_t* codes, int frames);
  void upsample(int frames);
  static void check_pushes(std::span<const DecoderPush> pushes);
  static void advance(std::span<const DecoderPush> pushes);

  Model model;
  DecoderOptions options;
  int block_frames;
  std::optional<DecoderState> state;
  std::uint64_t frames_heard = 0;
  bool is_broken = false;  // a push or a reset() failed half-way
  CodecCost cost;
};

void Decoder::Impl::check_codes(std::span<const std::uint16_t> codes) const {
  const std::size_t levels = options.levels.size();
  if (codes.size() % levels != 0) {
    throw Error("codes: found " + std::to_string(codes.size()) + ", expected whole frames of " +
                std::to_string(levels));
  }
  const int size = model.info().codebook_size;
  const auto bad =
      std::find_if(codes.begin(), codes.end(), [size](std::uint16_t c) { return c >= size; });
  if (bad == codes.end()) return;
  const auto index = static_cast<std::size_t>(bad - codes.begin());
  throw Error("frame " + std::to_string(frames_heard + index / levels) + ", level " +
              std::to_string(options.levels[index % levels]) + ": found code " +
              std::to_string(*bad) + ", expected 0 to " + std::to_string(size - 1));
}

// At most block_frames frames of each.
void Decoder::Impl::run(const Batch& batch, int frames) {
  const kernels::ScopedFloatMode mode;
  const Model::Impl& m = batch.decoders.front()->model.impl();
  std::vector<SeanetDecoderStream*> seanets;
  std::vector<TransformerStream*> transformers;
  std::vector<RowBuffer*> steps;
  std::vector<StageCost*> transformer_costs, seanet_costs;
  for (std::size_t i = 0; i < batch.decoders.size(); ++i) {
    Impl& d = *batch.decoders[i];
    seanets.push_back(&d.state->seanet);
    transformers.push_back(&d.state->transformer);
    steps.push_back(&d.state->seanet.input());
    transformer_costs.push_back(&d.cost.transformer);
    seanet_costs.push_back(&d.cost.seanet);
  }
  batch.for_each([&](std::size_t i) { batch.decoders[i]->dequantize(batch.codes[i], frames); });
  {
    const StageTimer timer(transformer_costs, frames * (m.upsample->flop_per_frame() +
                                                        2 * m.decoder_transformer->flop_per_step));
    batch.for_each([&](std::size_t i) { batch.decoders[i]->upsample(frames); });
    TransformerStream::run(transformers, steps, 2 * frames);
  }
  const StageTimer timer(seanet_costs, frames * m.decoder->flop_per_frame);
  SeanetDecoderStream::run(seanets, frames, batch.samples);
}

void Decoder::Impl::dequantize(const std::uint16_t* codes, int frames) {
  const StageTimer timer({&cost.quantizer},
                         frames * model.impl().quantizer->decode_flop_per_frame(options.levels));
  RowBuffer& latent = state->latent;
  state->quantizer.decode(codes, frames, options.levels, latent);
  const Tap& tap = options.stream.tap;
  if (tap) tap("dequantized", latent.row(0), frames, latent.channels(), latent.stride());
}

void Decoder::Impl::upsample(int frames) {
  RowBuffer& steps = state->seanet.input();
  model.impl().upsample->run(state->latent, frames, steps);
  state->latent.advance(frames);
  const Tap& tap = options.stream.tap;
  if (tap) tap("upsample", steps.row(0), 2 * frames, steps.channels(), steps.stride());
}

void Decoder::Impl::check_pushes(std::span<const DecoderPush> pushes) {
  const Impl& first = *pushes.front().decoder->impl_;
  for (std::size_t i = 0; i < pushes.size(); ++i) {
    const Impl& d = *pushes[i].decoder->impl_;
    check_same_batch(first.model, first.options.stream, d.model, d.options.stream);
    for (std::size_t j = 0; j < i; ++j) {
      if (pushes[j].decoder == pushes[i].decoder) {
        throw Error("pushes " + std::to_string(j) + " and " + std::to_string(i) +
                    " are to the same decoder");
      }
      if (pushes[j].samples == pushes[i].samples) {
        throw Error("pushes " + std::to_string(j) + " and " + std::to_string(i) +
                    " append to the same samples");
      }
    }
    if (d.is_broken) {
      throw Error("the decoder failed in an earlier call: reset() begins it anew");
    }
    d.check_codes(pushes[i].codes);
  }
}

void push_together(std::span<const DecoderPush> pushes) {
  if (pushes.empty()) return;
  Decoder::Impl::check_pushes(pushes);
  for (const DecoderPush& push : pushes) push.decoder->impl_->is_broken = true;
  Decoder::Impl::advance(pushes);
  for (const DecoderPush& push : pushes) push.decoder->impl_->is_broken = false;
}

void Decoder::Impl::advance(std::span<const DecoderPush> pushes) {
  std::vector<std::span<const std::uint16_t>> rest;
  for (const DecoderPush& push : pushes) rest.push_back(push.codes);
  while (true) {
    std::size_t frames = 0;
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < pushes.size(); ++i) {
      if (rest[i].empty()) continue;
      const Impl& d = *pushes[i].decoder->impl_;
      const std::size_t ready = std::min(rest[i].size() / d.options.levels.size(),
                                         static_cast<std::size_t>(d.block_frames));
      frames = members.empty() ? ready : std::min(frames, ready);
      members.push_back(i);
    }
    if (members.empty()) return;
    Batch batch;
    for (const std::size_t i : members) {
      Impl& d = *pushes[i].decoder->impl_;
      std::vector<float>& samples = *pushes[i].samples;
      const std::size_t first = samples.size();
      samples.resize(first + frames * static_cast<std::size_t>(d.model.info().frame_samples));
      batch.decoders.push_back(&d);
      batch.codes.push_back(rest[i].data());
      batch.samples.push_back(samples.data() + first);
      rest[i] = rest[i].subspan(frames * d.options.levels.size());
    }
    run(batch, static_cast<int>(frames));
    for (Impl* d : batch.decoders) d->frames_heard += frames;
  }
}

Decoder::Decoder(const Model& model, const DecoderOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

void Decoder::push(std::span<const std::uint16_t> codes, std::vector<float>& samples) {
  const DecoderPush push = {this, codes, &samples};
  push_together(std::span(&push, 1));
}

void Decoder::reset(std::int64_t first_frame) {
  check_first_frame(first_frame);
  impl_->reset(first_frame);
}
const CodecCost& Decoder::cost() const { return impl_->cost; }

}  // namespace mimi
