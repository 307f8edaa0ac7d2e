#include "core/seanet_encoder.h"

#include <algorithm>
#include <memory>

#include "kernels/batch.h"
#include "kernels/parallel.h"

namespace mimi {

SeanetEncoder::SeanetEncoder(WeightReader& reader) : elu(elu_for(reader.packing().dtype)) {
  const Config& config = reader.checkpoint().config();
  const kernels::Dtype dtype = reader.packing().dtype;
  int channels = config.num_filters;
  first.load(reader, kernels::Dtype::kF32, layer_name("encoder", 0) + ".conv",
             {.in_channels = config.audio_channels,
              .out_channels = channels,
              .kernel = config.kernel_size});
  int rows_a_frame = config.frame_samples();
  flop_per_frame = rows_a_frame * first.flop_per_row();
  int index = 1;
  stages.resize(config.upsampling_ratios.size());
  auto ratio = config.upsampling_ratios.rbegin();
  for (Stage& stage : stages) {
    load_units(reader, "encoder", index, channels, stage.units);
    index += config.num_residual_layers + 1;  // the ELU
    stage.down.load(reader, dtype, layer_name("encoder", index) + ".conv",
                    {.in_channels = channels,
                     .out_channels = 2 * channels,
                     .kernel = 2 * *ratio,
                     .stride = *ratio});
    stage.tap_name = tap_name("encoder", index++, &stage == &stages.back());
    channels *= 2;
    flop_per_frame += rows_a_frame * unit_flop_per_row(stage.units);
    rows_a_frame /= *ratio++;
    flop_per_frame += rows_a_frame * stage.down.flop_per_row();
  }
  ++index;  // the ELU
  // Of all layers this one's error moves the most codes, the downsampling's comes next.
  last.load(reader, reader.packing().at_least_bf16().dtype, layer_name("encoder", index) + ".conv",
            {.in_channels = channels,
             .out_channels = config.hidden_size,
             .kernel = config.last_kernel_size});
  last_tap_name = tap_name("encoder", index, false);
  flop_per_frame += rows_a_frame * last.flop_per_row();
}

SeanetEncoderStream::SeanetEncoderStream(const SeanetEncoder& model, int block_frames, int threads,
                                         const Tap& tap)
    : model_(&model), threads_(threads), tap_(&tap) {
  int rows_a_frame = 2;
  for (const auto& stage : model.stages) rows_a_frame *= stage.down.shape().stride;
  for (const auto& stage : model.stages) {
    const ConvShape& down = stage.down.shape();
    // The last stage's convolution is run for whole blocks, of all streams.
    const bool last = &stage == &model.stages.back();
    rows_a_frame /= down.stride;
    const int most_rows = block_frames * rows_a_frame;
    const int rows =
        last ? most_rows : stage_block_rows(most_rows, threads, down.stride, down.in_channels);
    const int capacity = rows * down.stride;
    stages_.push_back({.block_rows = rows,
                       .inputs = unit_buffers(stage.units, capacity),
                       .down_input = RowBuffer(down.in_channels, stage.down.history(), capacity)});
  }
  samples_ =
      RowBuffer::of_samples(model.first.history(), stages_.front().inputs.front().raw.capacity());
  const int widest = model.last.shape().in_channels;
  last_input_ = RowBuffer(widest, model.last.history(), 2 * block_frames);
  scratch_ = unit_scratch(threads, widest / 2);
}

void SeanetEncoderStream::run(std::span<SeanetEncoderStream* const> streams,
                              std::span<const float* const> samples, int frames,
                              std::span<RowBuffer* const> outputs) {
  const SeanetEncoder& model = *streams.front()->model_;
  const int threads = streams.front()->threads_;
  const std::size_t count = streams.size();
  if (count == 1) {
    streams.front()->fill_last_down(samples.front(), frames, threads);
  } else {
    auto& desks = streams.front()->desks_;
    desks.prepare(threads, frames, [&] {
      return std::make_unique<SeanetEncoderStream>(model, frames, 1, *streams.front()->tap_);
    });
    for_each_stream(threads, count, [&](std::size_t i, std::size_t worker) {
      streams[i]->fill_last_down_at(*desks.of_worker[worker], samples[i], frames);
    });
  }

  // The last two convolutions have few rows and most of the weights.
  const CausalConv& down = model.stages.back().down;
  const int rows = 2 * frames;
  std::vector<kernels::BatchItem> items;
  for (SeanetEncoderStream* s : streams) {
    items.push_back(
        {down.rows_of(s->stages_.back().down_input), elu_only(model.elu, s->last_input_, 0)});
  }
  kernels::batch_gemm(threads, down.weights(), items, rows);
  items.clear();
  for (std::size_t i = 0; i < count; ++i) {
    SeanetEncoderStream& s = *streams[i];
    s.stages_.back().down_input.advance(rows * down.shape().stride);
    report(*s.tap_, model.stages.back().tap_name, s.last_input_, 0, rows);
    items.push_back(
        {model.last.rows_of(s.last_input_), {outputs[i]->row(0), outputs[i]->stride(), {}}});
  }
  kernels::batch_gemm(threads, model.last.weights(), items, rows);
  for (std::size_t i = 0; i < count; ++i) {
    streams[i]->last_input_.advance(rows);
    report(*streams[i]->tap_, model.last_tap_name, *outputs[i], 0, rows);
  }
}

void SeanetEncoderStream::fill_last_down(const float* samples, int frames, int threads) {
  next_sample_ = samples;
  const std::size_t last = stages_.size() - 1;
  const SeanetEncoder::Stage& model = model_->stages[last];
  const int rows = 2 * frames * model.down.shape().stride;
  fill(last, rows, threads);
  Stage& stage = stages_[last];
  run_units(threads, model.units, stage.inputs, rows, elu_only(model_->elu, stage.down_input, 0),
            scratch_);
}

void SeanetEncoderStream::fill_last_down_at(SeanetEncoderStream& desk, const float* samples,
                                            int frames) {
  desk.copy_state(*this);
  desk.tap_ = tap_;
  desk.fill_last_down(samples, frames, 1);
  copy_state(desk);
  const int rows = 2 * frames * model_->stages.back().down.shape().stride;
  stages_.back().down_input.copy_rows(desk.stages_.back().down_input, 0, rows);
}

void SeanetEncoderStream::copy_state(const SeanetEncoderStream& from) {
  samples_.copy_history(from.samples_);
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    copy_histories(from.stages_[i].inputs, stages_[i].inputs);
    // The last one's is of what comes after.
    if (i + 1 < stages_.size()) stages_[i].down_input.copy_history(from.stages_[i].down_input);
  }
}

void SeanetEncoderStream::fill(std::size_t stage, int rows, int threads) {
  if (stage == 0) return fill_first(rows, threads);
  const int stride = model_->stages[stage - 1].down.shape().stride;
  for_each_block(rows, stages_[stage - 1].block_rows, [&](int first, int count) {
    fill(stage - 1, count * stride, threads);
    run_stage(stage - 1, count, first, threads);
  });
}

void SeanetEncoderStream::fill_first(int rows, int threads) {
  UnitRows& output = stages_.front().inputs.front();
  std::copy_n(next_sample_, rows, samples_.row(0));
  next_sample_ += rows;
  kernels::parallel_gemm(threads, model_->first.weights(), model_->first.rows_of(samples_), rows,
                         raw_and_elu(model_->elu, output, 0));
  samples_.advance(rows);
  report(*tap_, "encoder.0", output.raw, 0, rows);
}

void SeanetEncoderStream::run_stage(std::size_t index, int output_rows, int output_row,
                                    int threads) {
  const SeanetEncoder::Stage& model = model_->stages[index];
  Stage& stage = stages_[index];
  const int rows = output_rows * model.down.shape().stride;
  run_units(threads, model.units, stage.inputs, rows, elu_only(model_->elu, stage.down_input, 0),
            scratch_);

  UnitRows& next = stages_[index + 1].inputs.front();
  kernels::parallel_gemm(threads, model.down.weights(), model.down.rows_of(stage.down_input),
                         output_rows, raw_and_elu(model_->elu, next, output_row));
  stage.down_input.advance(rows);
  report(*tap_, model.tap_name, next.raw, output_row, output_rows);
}

}  // namespace mimi
