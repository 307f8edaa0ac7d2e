// Counts, layer after layer, the rows at the beginning of a stream that a fresh state gets wrong.
#include "core/model.h"

namespace mimi {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t after(const CausalConv& conv, std::int64_t wrong_rows) {
  return divide_up(wrong_rows + conv.history(), conv.shape().stride);
}

std::int64_t after(const std::vector<ResidualUnit>& units, std::int64_t wrong_rows) {
  for (const ResidualUnit& unit : units) {
    wrong_rows = after(unit.widen, after(unit.narrow, wrong_rows));
  }
  return wrong_rows;
}

std::int64_t after(const Transformer& transformer, Window rule, std::int64_t wrong_rows) {
  for (std::size_t layer = 0; layer < transformer.layers.size(); ++layer) {
    std::int64_t last_wrong = wrong_rows + transformer.window;
    while (last_wrong - attended_steps(transformer.window, rule, last_wrong) + 1 >= wrong_rows) {
      --last_wrong;
    }
    wrong_rows = last_wrong + 1;
  }
  return wrong_rows;
}

std::int64_t encoder_frames(const Model::Impl& model, Window window) {
  std::int64_t wrong = after(model.encoder->first, 0);
  for (const auto& stage : model.encoder->stages) {
    wrong = after(stage.down, after(stage.units, wrong));
  }
  wrong = after(model.encoder->last, wrong);
  wrong = after(*model.encoder_transformer, window, wrong);
  return after(model.downsample, wrong);
}

std::int64_t decoder_frames(const Model::Impl& model, Window window) {
  std::int64_t wrong = 2 * DepthwiseUpsample::kHistory;
  wrong = after(*model.decoder_transformer, window, wrong);
  wrong = after(model.decoder->first, wrong);
  for (const auto& stage : model.decoder->stages) {
    wrong = (wrong + TransposedConv::kHistory) * stage.up.stride();
    wrong = after(stage.units, wrong);
  }
  return divide_up(wrong + model.decoder->last_kernel - 1, model.info.frame_samples);
}

}  // namespace

ReceptiveField receptive_field(const Model& model, Window window) {
  return {.encoder_frames = encoder_frames(model.impl(), window),
          .decoder_frames = decoder_frames(model.impl(), window)};
}

}  // namespace mimi
