#include <algorithm>
#include <optional>

#include "core/model.h"
#include "kernels/float_mode.h"

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
    reset(0);
  }

  void reset(std::int64_t first_frame) {
    const kernels::ScopedFloatMode mode;
    state.emplace(model.impl(), options.stream, block_frames, first_frame);
    frames_heard = 0;
  }

  void check_codes(std::span<const std::uint16_t> codes) const;
  void run(const std::uint16_t* codes, int frames, float* samples);

  Model model;
  DecoderOptions options;
  int block_frames;
  std::optional<DecoderState> state;
  std::uint64_t frames_heard = 0;
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

// At most block_frames frames.
void Decoder::Impl::run(const std::uint16_t* codes, int frames, float* samples) {
  const Model::Impl& m = model.impl();
  const kernels::ScopedFloatMode mode;
  const Tap& tap = options.stream.tap;
  RowBuffer& latent = state->latent;
  RowBuffer& steps = state->seanet.input();
  {
    const StageTimer timer(cost.quantizer,
                           frames * m.quantizer->decode_flop_per_frame(options.levels));
    state->quantizer.decode(codes, frames, options.levels, latent);
    if (tap) tap("dequantized", latent.row(0), frames, latent.channels(), latent.stride());
  }
  {
    const StageTimer timer(cost.transformer, frames * (m.upsample->flop_per_frame() +
                                                       2 * m.decoder_transformer->flop_per_step));
    m.upsample->run(latent, frames, steps);
    latent.advance(frames);
    if (tap) tap("upsample", steps.row(0), 2 * frames, steps.channels(), steps.stride());
    state->transformer.run(steps, 2 * frames);
  }
  const StageTimer timer(cost.seanet, frames * m.decoder->flop_per_frame);
  state->seanet.run(frames, samples);
}

Decoder::Decoder(const Model& model, const DecoderOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

void Decoder::push(std::span<const std::uint16_t> codes, std::vector<float>& samples) {
  Impl& d = *impl_;
  d.check_codes(codes);
  const std::size_t levels = d.options.levels.size();
  const auto frame_samples = static_cast<std::size_t>(d.model.info().frame_samples);
  while (!codes.empty()) {
    const std::size_t frames =
        std::min(codes.size() / levels, static_cast<std::size_t>(d.block_frames));
    const std::size_t first = samples.size();
    samples.resize(first + frames * frame_samples);
    d.run(codes.data(), static_cast<int>(frames), samples.data() + first);
    codes = codes.subspan(frames * levels);
    d.frames_heard += frames;
  }
}

void Decoder::reset(std::int64_t first_frame) {
  if (first_frame < 0) {
    throw Error("first frame: found " + std::to_string(first_frame) + ", expected 0 or more");
  }
  impl_->reset(first_frame);
}
const CodecCost& Decoder::cost() const { return impl_->cost; }

}  // namespace mimi
