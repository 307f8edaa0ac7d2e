#include "core/seanet.h"

#include <algorithm>
#include <numeric>

#include "kernels/parallel.h"

namespace mimi {
namespace {

using kernels::Activation;
using kernels::GemmOutput;
using kernels::KernelTable;

std::string layer_name(const char* side, int index) {
  return std::string(side) + ".layers." + std::to_string(index);
}

std::string tap_name(const char* side, int index, bool after_elu) {
  return std::string(side) + "." + std::to_string(index) + (after_elu ? "+elu" : "");
}

ResidualUnit read_unit(const kernels::Packing& packing, const Checkpoint& checkpoint,
                       const std::string& name, int channels, int unit) {
  const Config& config = checkpoint.config();
  int dilation = 1;
  for (int i = 0; i < unit; ++i) dilation *= config.dilation_growth_rate;
  const int narrow = channels / config.compress;
  return {.narrow = CausalConv(packing, checkpoint, name + ".block.1.conv",
                               {.in_channels = channels,
                                .out_channels = narrow,
                                .kernel = config.residual_kernel_size,
                                .dilation = dilation}),
          .widen = CausalConv(packing, checkpoint, name + ".block.3.conv",
                              {.in_channels = narrow, .out_channels = channels, .kernel = 1})};
}

double unit_flop_per_row(const std::vector<ResidualUnit>& units) {
  double flop = 0;
  for (const ResidualUnit& unit : units) flop += unit.flop_per_row();
  return flop;
}

// Where the sums go raw, and their ELU.
GemmOutput raw_and_elu(UnitRows& rows, int first) {
  return {rows.raw.row(first),
          rows.raw.stride(),
          {.activation = Activation::kElu,
           .activated = rows.elu.row(first),
           .activated_stride = rows.elu.stride()}};
}

GemmOutput elu_only(RowBuffer& rows, int first) {
  return {rows.row(first), rows.stride(), {.activation = Activation::kElu}};
}

// Rows of a residual unit that one task takes through both convolutions in the cache.
constexpr int kSliceRows = 96;

// output = input + widen(elu(narrow(input's elu))), then the output's own epilogue.
void run_unit(int most_threads, const ResidualUnit& unit, const UnitRows& input, int rows,
              GemmOutput output, std::vector<kernels::AlignedFloats>& scratch) {
  const int threads = kernels::worthwhile_threads(most_threads, rows * unit.flop_per_row());
  output.epilogue.residual = input.raw.row(0);
  output.epilogue.residual_stride = input.raw.stride();
  const std::ptrdiff_t narrow_stride = row_stride(unit.narrow.shape().out_channels);
  const int slices = std::max((rows + kSliceRows - 1) / kSliceRows, std::min(threads, rows));
  kernels::parallel_for(threads, slices, [&](int slice, int worker) {
    const int first = static_cast<int>(std::int64_t{rows} * slice / slices);
    const int count = static_cast<int>(std::int64_t{rows} * (slice + 1) / slices) - first;
    float* narrow = scratch[static_cast<std::size_t>(worker)].data();
    const auto& narrow_weights = unit.narrow.weights();
    kernels::gemm(narrow_weights, unit.narrow.rows_of(input.elu, first),
                  {narrow, narrow_stride, {.activation = Activation::kElu}},
                  {0, count, 0, narrow_weights.panels()});
    const auto& widen_weights = unit.widen.weights();
    kernels::gemm(widen_weights,
                  {.data = narrow,
                   .row_step = narrow_stride,
                   .tap_step = 0,
                   .taps = 1,
                   .depth = unit.narrow.shape().out_channels},
                  kernels::output_at(output, first), {0, count, 0, widen_weights.panels()});
  });
}

// Runs all units; the last one's output is only ever used through its ELU.
void run_units(int threads, const std::vector<ResidualUnit>& units, std::vector<UnitRows>& inputs,
               int rows, const GemmOutput& output, std::vector<kernels::AlignedFloats>& scratch) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    const bool last = i + 1 == units.size();
    run_unit(threads, units[i], inputs[i], rows, last ? output : raw_and_elu(inputs[i + 1], 0),
             scratch);
  }
  for (UnitRows& input : inputs) input.elu.advance(rows);
}

std::vector<UnitRows> unit_buffers(const std::vector<ResidualUnit>& units, int capacity) {
  std::vector<UnitRows> buffers;
  for (const ResidualUnit& unit : units) {
    const int channels = unit.narrow.shape().in_channels;
    buffers.push_back({.raw = RowBuffer(channels, 0, capacity),
                       .elu = RowBuffer(channels, unit.narrow.history(), capacity)});
  }
  return buffers;
}

std::vector<kernels::AlignedFloats> unit_scratch(int threads, int widest_channels) {
  std::vector<kernels::AlignedFloats> scratch;
  for (int i = 0; i < threads; ++i) {
    scratch.emplace_back(static_cast<std::size_t>(kSliceRows * row_stride(widest_channels)));
  }
  return scratch;
}

// Frames that a stage works on at once: few enough that its rows stay in the second-level caches,
// yet enough of its fewest rows that reading its weights pays.
int stage_block_frames(int block_frames, int threads, int most_rows_a_frame, int least_rows_a_frame,
                       int channels) {
  constexpr std::ptrdiff_t kCacheBytes = 1 << 20;
  constexpr int kEnoughRows = 96;
  const std::ptrdiff_t bytes_a_frame =
      3 * most_rows_a_frame * row_stride(channels) * std::ptrdiff_t{sizeof(float)};
  const auto fitting = static_cast<int>(kCacheBytes * threads / bytes_a_frame);
  const int paying = (kEnoughRows + least_rows_a_frame - 1) / least_rows_a_frame;
  return std::clamp(std::max(fitting, paying), 1, block_frames);
}

void report(const Tap& tap, const std::string& name, const RowBuffer& rows, int first, int count) {
  if (tap) tap(name, rows.row(first), count, rows.channels(), rows.stride());
}

}  // namespace

SeanetEncoder::SeanetEncoder(const kernels::Packing& packing, const Checkpoint& checkpoint) {
  const Config& config = checkpoint.config();
  int channels = config.num_filters;
  first = CausalConv(packing.as_f32(), checkpoint, layer_name("encoder", 0) + ".conv",
                     {.in_channels = config.audio_channels,
                      .out_channels = channels,
                      .kernel = config.kernel_size});
  int rows_a_frame = config.frame_samples();
  flop_per_frame = rows_a_frame * first.weights().flop_per_row();
  int index = 1;
  const auto& ratios = config.upsampling_ratios;
  for (auto ratio = ratios.rbegin(); ratio != ratios.rend(); ++ratio) {
    Stage& stage = stages.emplace_back();
    for (int unit = 0; unit < config.num_residual_layers; ++unit) {
      stage.units.push_back(
          read_unit(packing, checkpoint, layer_name("encoder", index++), channels, unit));
    }
    ++index;  // the ELU
    stage.down = CausalConv(packing, checkpoint, layer_name("encoder", index) + ".conv",
                            {.in_channels = channels,
                             .out_channels = 2 * channels,
                             .kernel = 2 * *ratio,
                             .stride = *ratio});
    stage.tap_name = tap_name("encoder", index++, ratio + 1 == ratios.rend());
    channels *= 2;
    flop_per_frame += rows_a_frame * unit_flop_per_row(stage.units);
    rows_a_frame /= *ratio;
    flop_per_frame += rows_a_frame * stage.down.weights().flop_per_row();
  }
  ++index;  // the ELU
  last = CausalConv(packing, checkpoint, layer_name("encoder", index) + ".conv",
                    {.in_channels = channels,
                     .out_channels = config.hidden_size,
                     .kernel = config.last_kernel_size});
  last_tap_name = tap_name("encoder", index, false);
  flop_per_frame += rows_a_frame * last.weights().flop_per_row();
}

SeanetEncoderStream::SeanetEncoderStream(const SeanetEncoder& model, int block_frames, int threads,
                                         const Tap& tap)
    : model_(&model), threads_(threads), tap_(&tap) {
  int rows_a_frame = 2;
  for (const auto& stage : model.stages) rows_a_frame *= stage.down.shape().stride;
  for (const auto& stage : model.stages) {
    const ConvShape& down = stage.down.shape();
    const int frames = stage_block_frames(block_frames, threads, rows_a_frame,
                                          rows_a_frame / down.stride, down.in_channels);
    const int capacity = frames * rows_a_frame;
    stages_.push_back({.rows_a_frame = rows_a_frame,
                       .block_frames = frames,
                       .inputs = unit_buffers(stage.units, capacity),
                       .down_input = RowBuffer(down.in_channels, stage.down.history(), capacity)});
    rows_a_frame /= down.stride;
  }
  samples_ = RowBuffer(1, model.first.history(),
                       stages_.front().block_frames * stages_.front().rows_a_frame);
  const int widest = model.last.shape().in_channels;
  last_input_ = RowBuffer(widest, model.last.history(), block_frames * rows_a_frame);
  scratch_ = unit_scratch(threads, widest / 2);
}

void SeanetEncoderStream::run(const float* samples, int frames, RowBuffer& output) {
  next_sample_ = samples;
  fill(stages_.size(), frames);
  const int rows = frames * 2;
  kernels::parallel_gemm(threads_, model_->last.weights(), model_->last.rows_of(last_input_), rows,
                         {output.row(0), output.stride(), {}});
  last_input_.advance(rows);
  report(*tap_, model_->last_tap_name, output, 0, rows);
}

void SeanetEncoderStream::fill(std::size_t stage, int frames) {
  if (stage == 0) return fill_first(frames);
  const Stage& before = stages_[stage - 1];
  const int rows_a_frame = before.rows_a_frame / model_->stages[stage - 1].down.shape().stride;
  for (int done = 0; done < frames; done += before.block_frames) {
    const int block = std::min(before.block_frames, frames - done);
    fill(stage - 1, block);
    run_stage(stage - 1, block, done * rows_a_frame);
  }
}

void SeanetEncoderStream::fill_first(int frames) {
  UnitRows& output = stages_.front().inputs.front();
  const int rows = frames * stages_.front().rows_a_frame;
  std::copy_n(next_sample_, rows, samples_.row(0));
  next_sample_ += rows;
  kernels::parallel_gemm(threads_, model_->first.weights(), model_->first.rows_of(samples_), rows,
                         raw_and_elu(output, 0));
  samples_.advance(rows);
  report(*tap_, "encoder.0", output.raw, 0, rows);
}

void SeanetEncoderStream::run_stage(std::size_t index, int frames, int output_row) {
  const SeanetEncoder::Stage& model = model_->stages[index];
  Stage& stage = stages_[index];
  const int rows = frames * stage.rows_a_frame;
  run_units(threads_, model.units, stage.inputs, rows, elu_only(stage.down_input, 0), scratch_);

  const int output_rows = rows / model.down.shape().stride;
  const bool last = index + 1 == stages_.size();
  const GemmOutput output = last ? elu_only(last_input_, output_row)
                                 : raw_and_elu(stages_[index + 1].inputs.front(), output_row);
  kernels::parallel_gemm(threads_, model.down.weights(), model.down.rows_of(stage.down_input),
                         output_rows, output);
  stage.down_input.advance(rows);
  report(*tap_, model.tap_name, last ? last_input_ : stages_[index + 1].inputs.front().raw,
         output_row, output_rows);
}

SeanetDecoder::SeanetDecoder(const kernels::Packing& packing, const Checkpoint& checkpoint) {
  const Config& config = checkpoint.config();
  int channels = config.num_filters << config.upsampling_ratios.size();
  first = CausalConv(
      packing, checkpoint, layer_name("decoder", 0) + ".conv",
      {.in_channels = config.hidden_size, .out_channels = channels, .kernel = config.kernel_size});
  int rows_a_frame = 2;
  flop_per_frame = rows_a_frame * first.weights().flop_per_row();
  int index = 1;
  for (const int ratio : config.upsampling_ratios) {
    Stage& stage = stages.emplace_back();
    ++index;  // the ELU
    stage.up = TransposedConv(packing, checkpoint, layer_name("decoder", index++) + ".conv",
                              channels, channels / 2, ratio);
    flop_per_frame += rows_a_frame * stage.up.flop_per_row();
    rows_a_frame *= ratio;
    channels /= 2;
    for (int unit = 0; unit < config.num_residual_layers; ++unit) {
      stage.units.push_back(
          read_unit(packing, checkpoint, layer_name("decoder", index++), channels, unit));
    }
    stage.tap_name = tap_name("decoder", index - 1, true);
    flop_per_frame += rows_a_frame * unit_flop_per_row(stage.units);
  }
  ++index;  // the ELU
  read_last(checkpoint, layer_name("decoder", index) + ".conv", channels);
  flop_per_frame += 2.0 * rows_a_frame * last_kernel * channels;
}

void SeanetDecoder::read_last(const Checkpoint& checkpoint, const std::string& name, int channels) {
  last_kernel = checkpoint.config().last_kernel_size;
  const Floats weight = checkpoint.tensor(name + ".weight", {1, channels, last_kernel});
  last_bias = checkpoint.tensor(name + ".bias", {1}).view()[0];
  const std::size_t padded = static_cast<std::size_t>((channels + kernels::kLanes - 1) /
                                                      kernels::kLanes * kernels::kLanes);
  last_weights.assign(static_cast<std::size_t>(last_kernel) * padded, 0.0f);
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    for (std::size_t tap = 0; tap < static_cast<std::size_t>(last_kernel); ++tap) {
      last_weights[tap * padded + c] =
          weight.view()[c * static_cast<std::size_t>(last_kernel) + tap];
    }
  }
}

SeanetDecoderStream::SeanetDecoderStream(const SeanetDecoder& model, const KernelTable& table,
                                         int block_frames, int threads, const Tap& tap)
    : model_(&model), table_(&table), threads_(threads), tap_(&tap) {
  const ConvShape& first = model.first.shape();
  int rows_a_frame = 2, capacity_frames = block_frames, channels = first.out_channels;
  input_ = RowBuffer(first.in_channels, model.first.history(), block_frames * rows_a_frame);
  for (const auto& stage : model.stages) {
    const int output_rows_a_frame = rows_a_frame * stage.up.stride();
    const int frames = stage_block_frames(capacity_frames, threads, output_rows_a_frame,
                                          rows_a_frame, channels / 2);
    stages_.push_back(
        {.rows_a_frame = rows_a_frame,
         .block_frames = frames,
         .up_input = RowBuffer(channels, TransposedConv::kHistory, capacity_frames * rows_a_frame),
         .inputs = unit_buffers(stage.units, frames * output_rows_a_frame)});
    capacity_frames = frames;
    rows_a_frame = output_rows_a_frame;
    channels /= 2;
  }
  last_input_ = RowBuffer(channels, model.last_kernel - 1, capacity_frames * rows_a_frame);
  scratch_ = unit_scratch(threads, first.out_channels / 2);
}

void SeanetDecoderStream::run(int frames, float* samples) {
  next_sample_ = samples;
  RowBuffer& output = stages_.front().up_input;
  const int rows = frames * 2;
  kernels::parallel_gemm(threads_, model_->first.weights(), model_->first.rows_of(input_), rows,
                         elu_only(output, 0));
  input_.advance(rows);
  report(*tap_, "decoder.0+elu", output, 0, rows);
  run_stage(0, frames);
}

void SeanetDecoderStream::run_stage(std::size_t index, int frames) {
  if (index == stages_.size()) return run_last(frames);
  const SeanetDecoder::Stage& model = model_->stages[index];
  Stage& stage = stages_[index];
  RowBuffer& output = index + 1 == stages_.size() ? last_input_ : stages_[index + 1].up_input;
  for (int done = 0; done < frames; done += stage.block_frames) {
    const int block = std::min(stage.block_frames, frames - done);
    const int rows = block * stage.rows_a_frame;
    model.up.run(threads_, stage.up_input, done * stage.rows_a_frame, rows,
                 raw_and_elu(stage.inputs.front(), 0));
    const int output_rows = rows * model.up.stride();
    run_units(threads_, model.units, stage.inputs, output_rows, elu_only(output, 0), scratch_);
    report(*tap_, model.tap_name, output, 0, output_rows);
    run_stage(index + 1, block);
  }
  stage.up_input.advance(frames * stage.rows_a_frame);
}

void SeanetDecoderStream::run_last(int frames) {
  const int rows = frames * stages_.back().rows_a_frame * model_->stages.back().up.stride();
  const kernels::GemmInput a = {.data = last_input_.row(-last_input_.history()),
                                .row_step = last_input_.stride(),
                                .tap_step = last_input_.stride(),
                                .taps = model_->last_kernel,
                                .depth = last_input_.channels()};
  const double flop = 2.0 * rows * a.taps * a.depth;
  const int slices = kernels::worthwhile_threads(threads_, flop);
  kernels::parallel_for(slices, slices, [&](int slice, int) {
    const int first = rows * slice / slices, last = rows * (slice + 1) / slices;
    kernels::GemmInput slice_rows = a;
    slice_rows.data += first * a.row_step;
    table_->dot_rows(slice_rows, last - first, model_->last_weights.data(), model_->last_bias,
                     next_sample_ + first);
  });
  next_sample_ += rows;
  last_input_.advance(rows);
}

}  // namespace mimi
