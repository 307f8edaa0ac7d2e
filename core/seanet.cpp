#include "core/seanet.h"

#include <algorithm>
#include <numeric>

#include "kernels/batch.h"
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

void load_units(WeightReader& reader, const char* side, int first_index, int channels,
                std::vector<ResidualUnit>& units) {
  const Config& config = reader.checkpoint().config();
  const kernels::Dtype dtype = reader.packing().dtype;
  units.resize(static_cast<std::size_t>(config.num_residual_layers));
  int dilation = 1;
  for (ResidualUnit& unit : units) {
    const std::string name = layer_name(side, first_index++);
    const int narrow = channels / config.compress;
    unit.narrow.load(reader, dtype, name + ".block.1.conv",
                     {.in_channels = channels,
                      .out_channels = narrow,
                      .kernel = config.residual_kernel_size,
                      .dilation = dilation});
    unit.widen.load(reader, dtype, name + ".block.3.conv",
                    {.in_channels = narrow, .out_channels = channels, .kernel = 1});
    dilation *= config.dilation_growth_rate;
  }
}

double unit_flop_per_row(const std::vector<ResidualUnit>& units) {
  double flop = 0;
  for (const ResidualUnit& unit : units) flop += unit.flop_per_row();
  return flop;
}

// How exact the ELU of what layers of `dtype` take in must be.
Activation elu_for(kernels::Dtype dtype) {
  return dtype == kernels::Dtype::kF32 ? Activation::kElu : Activation::kEluCoarse;
}

// Where the sums go raw, and their ELU.
GemmOutput raw_and_elu(Activation elu, UnitRows& rows, int first) {
  return {
      rows.raw.row(first),
      rows.raw.stride(),
      {.activation = elu, .activated = rows.elu.row(first), .activated_stride = rows.elu.stride()}};
}

GemmOutput elu_only(Activation elu, RowBuffer& rows, int first) {
  return {rows.row(first), rows.stride(), {.activation = elu}};
}

// Rows of a residual unit that one task takes through both convolutions in the cache.
constexpr int kSliceRows = 96;

// output = input + widen(elu(narrow(input's elu))), then the output's own epilogue, whose ELU is
// also the inner one.
void run_unit(int most_threads, const ResidualUnit& unit, const UnitRows& input, int rows,
              GemmOutput output, std::vector<kernels::AlignedFloats>& scratch) {
  const int threads = kernels::worthwhile_threads(most_threads, rows * unit.flop_per_row());
  output.epilogue.residual = input.raw.row(0);
  output.epilogue.residual_stride = input.raw.stride();
  const std::ptrdiff_t narrow_stride = row_stride(unit.narrow.shape().out_channels);
  // As many for each thread.
  const int rounds = (rows + kSliceRows * threads - 1) / (kSliceRows * threads);
  const int slices = std::min(rounds * threads, rows);
  kernels::parallel_for(threads, slices, [&](int slice, int worker) {
    const int first = static_cast<int>(std::int64_t{rows} * slice / slices);
    const int count = static_cast<int>(std::int64_t{rows} * (slice + 1) / slices) - first;
    float* narrow = scratch[static_cast<std::size_t>(worker)].data();
    const auto& narrow_weights = unit.narrow.weights();
    kernels::gemm(narrow_weights, unit.narrow.rows_of(input.elu, first),
                  {narrow, narrow_stride, {.activation = output.epilogue.activation}},
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
    run_unit(threads, units[i], inputs[i], rows,
             last ? output : raw_and_elu(output.epilogue.activation, inputs[i + 1], 0), scratch);
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

void copy_histories(const std::vector<UnitRows>& from, std::vector<UnitRows>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i].elu.copy_history(from[i].elu);
}

std::vector<kernels::AlignedFloats> unit_scratch(int threads, int widest_channels) {
  std::vector<kernels::AlignedFloats> scratch;
  for (int i = 0; i < threads; ++i) {
    scratch.emplace_back(static_cast<std::size_t>(kSliceRows * row_stride(widest_channels)));
  }
  return scratch;
}

// Rows, of the side that has fewer, that a stage works on at once: few enough that its rows stay in
// the second-level caches, yet enough that reading its weights pays.
int stage_block_rows(int most_rows, int threads, int stride, int channels) {
  constexpr std::ptrdiff_t kCacheBytes = 512 << 10;
  constexpr int kEnoughRows = 96;
  const std::ptrdiff_t bytes_a_row =
      3 * stride * row_stride(channels) * std::ptrdiff_t{sizeof(float)};
  const auto fitting = static_cast<int>(kCacheBytes * threads / bytes_a_row);
  return std::min(std::max(fitting, kEnoughRows), most_rows);
}

// Calls run(first, count) for nearly equal blocks of at most `most` rows.
template <typename Run>
void for_each_block(int rows, int most, Run run) {
  const int blocks = (rows + most - 1) / most;
  for (int i = 0, first = 0; i < blocks; ++i) {
    const int count = (rows - first) / (blocks - i);
    run(first, count);
    first += count;
  }
}

void report(const Tap& tap, const std::string& name, const RowBuffer& rows, int first, int count) {
  if (tap) tap(name, rows.row(first), count, rows.channels(), rows.stride());
}

// Calls run(stream, worker) for each on one thread.
template <typename Run>
void for_each_stream(int threads, std::size_t streams, Run run) {
  kernels::parallel_for(threads, static_cast<int>(streams), [&](int i, int worker) {
    run(static_cast<std::size_t>(i), static_cast<std::size_t>(worker));
  });
}

}  // namespace

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

SeanetDecoder::SeanetDecoder(WeightReader& reader) : elu(elu_for(reader.packing().dtype)) {
  const Config& config = reader.checkpoint().config();
  int channels = config.num_filters << config.upsampling_ratios.size();
  first.load(
      reader, reader.packing().dtype, layer_name("decoder", 0) + ".conv",
      {.in_channels = config.hidden_size, .out_channels = channels, .kernel = config.kernel_size});
  int rows_a_frame = 2;
  flop_per_frame = rows_a_frame * first.flop_per_row();
  int index = 1;
  stages.resize(config.upsampling_ratios.size());
  auto ratio = config.upsampling_ratios.begin();
  for (Stage& stage : stages) {
    ++index;  // the ELU
    stage.up.load(reader, layer_name("decoder", index++) + ".conv", channels, channels / 2, *ratio);
    flop_per_frame += rows_a_frame * stage.up.flop_per_row();
    rows_a_frame *= *ratio++;
    channels /= 2;
    load_units(reader, "decoder", index, channels, stage.units);
    index += config.num_residual_layers;
    stage.tap_name = tap_name("decoder", index - 1, true);
    flop_per_frame += rows_a_frame * unit_flop_per_row(stage.units);
  }
  ++index;  // the ELU
  last_kernel = config.last_kernel_size;
  load_last(reader, layer_name("decoder", index) + ".conv", channels);
  flop_per_frame += 2.0 * rows_a_frame * last_kernel * channels;
}

void SeanetDecoder::load_last(WeightReader& reader, const std::string& name, int channels) {
  const TensorSpec weight = {name + ".weight", {1, channels, last_kernel}};
  const TensorSpec bias = {name + ".bias", {1}};
  reader.add({weight, bias}, [this, weight, bias, channels, &checkpoint = reader.checkpoint()] {
    const Floats values = checkpoint.read(weight);
    last_bias = checkpoint.read(bias).view()[0];
    const auto taps = static_cast<std::size_t>(last_kernel);
    const std::size_t padded = static_cast<std::size_t>((channels + kernels::kLanes - 1) /
                                                        kernels::kLanes * kernels::kLanes);
    last_weights.assign(taps * padded, 0.0f);
    for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        last_weights[tap * padded + c] = values.view()[c * taps + tap];
      }
    }
  });
}

SeanetDecoderStream::SeanetDecoderStream(const SeanetDecoder& model, const KernelTable& table,
                                         int block_frames, int threads, const Tap& tap)
    : model_(&model), table_(&table), threads_(threads), tap_(&tap) {
  const ConvShape& first = model.first.shape();
  int capacity = 2 * block_frames, channels = first.out_channels;
  input_ = RowBuffer(first.in_channels, model.first.history(), capacity);
  for (const auto& stage : model.stages) {
    // The first stage's convolution is run for whole blocks, of all streams.
    const bool is_first = &stage == &model.stages.front();
    const int rows =
        is_first ? capacity : stage_block_rows(capacity, threads, stage.up.stride(), channels / 2);
    stages_.push_back({.block_rows = rows,
                       .up_input = RowBuffer(channels, TransposedConv::kHistory, capacity),
                       .inputs = unit_buffers(stage.units, rows * stage.up.stride())});
    capacity = rows * stage.up.stride();
    channels /= 2;
  }
  last_input_ = RowBuffer(channels, model.last_kernel - 1, capacity);
  scratch_ = unit_scratch(threads, first.out_channels / 2);
}

void SeanetDecoderStream::run(std::span<SeanetDecoderStream* const> streams, int frames,
                              std::span<float* const> samples) {
  const SeanetDecoder& model = *streams.front()->model_;
  const int threads = streams.front()->threads_;
  // The first two convolutions have few rows and most of the weights.
  const int rows = 2 * frames;
  std::vector<kernels::BatchItem> items;
  for (SeanetDecoderStream* s : streams) {
    items.push_back(
        {model.first.rows_of(s->input_), elu_only(model.elu, s->stages_.front().up_input, 0)});
  }
  kernels::batch_gemm(threads, model.first.weights(), items, rows);
  std::vector<TransposedConv::Item> up_items;
  for (SeanetDecoderStream* s : streams) {
    Stage& stage = s->stages_.front();
    s->input_.advance(rows);
    report(*s->tap_, "decoder.0+elu", stage.up_input, 0, rows);
    up_items.push_back({&stage.up_input, raw_and_elu(model.elu, stage.inputs.front(), 0)});
  }
  model.stages.front().up.run(threads, up_items, rows);
  SeanetDecoderStream& first = *streams.front();
  for (SeanetDecoderStream* s : streams) s->stages_.front().up_input.advance(rows);
  if (streams.size() == 1) {
    first.next_sample_ = samples.front();
    return first.run_behind_up(0, rows * model.stages.front().up.stride(), threads);
  }
  first.desks_.prepare(threads, frames, [&] {
    return std::make_unique<SeanetDecoderStream>(model, *first.table_, frames, 1, *first.tap_);
  });
  for_each_stream(threads, streams.size(), [&](std::size_t i, std::size_t worker) {
    streams[i]->run_behind_first_up_at(*first.desks_.of_worker[worker], frames, samples[i]);
  });
}

void SeanetDecoderStream::run_behind_first_up_at(SeanetDecoderStream& desk, int frames,
                                                 float* samples) {
  desk.copy_state(*this);
  const UnitRows& own = stages_.front().inputs.front();
  UnitRows& input = desk.stages_.front().inputs.front();
  const int rows = 2 * frames * model_->stages.front().up.stride();
  input.raw.copy_rows(own.raw, 0, rows);
  input.elu.copy_rows(own.elu, 0, rows);
  desk.tap_ = tap_;
  desk.next_sample_ = samples;
  desk.run_behind_up(0, rows, 1);
  copy_state(desk);
}

void SeanetDecoderStream::copy_state(const SeanetDecoderStream& from) {
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    copy_histories(from.stages_[i].inputs, stages_[i].inputs);
    // The first one's is of what comes before.
    if (i > 0) stages_[i].up_input.copy_history(from.stages_[i].up_input);
  }
  last_input_.copy_history(from.last_input_);
}

void SeanetDecoderStream::run_stage(std::size_t index, int rows, int threads) {
  if (index == stages_.size()) return run_last(rows, threads);
  Stage& stage = stages_[index];
  const TransposedConv& up = model_->stages[index].up;
  for_each_block(rows, stage.block_rows, [&](int first, int count) {
    up.run(threads, stage.up_input, first, count,
           raw_and_elu(model_->elu, stage.inputs.front(), 0));
    run_behind_up(index, count * up.stride(), threads);
  });
  stage.up_input.advance(rows);
}

void SeanetDecoderStream::run_behind_up(std::size_t index, int rows, int threads) {
  const SeanetDecoder::Stage& model = model_->stages[index];
  RowBuffer& output = index + 1 == stages_.size() ? last_input_ : stages_[index + 1].up_input;
  run_units(threads, model.units, stages_[index].inputs, rows, elu_only(model_->elu, output, 0),
            scratch_);
  report(*tap_, model.tap_name, output, 0, rows);
  run_stage(index + 1, rows, threads);
}

void SeanetDecoderStream::run_last(int rows, int threads) {
  const kernels::GemmInput a = {.data = last_input_.row(-last_input_.history()),
                                .row_step = last_input_.stride(),
                                .tap_step = last_input_.stride(),
                                .taps = model_->last_kernel,
                                .depth = last_input_.channels()};
  constexpr double kLaneSumFlop = 600;  // what adding up lanes costs, counted in a product's
  const double flop = rows * (2.0 * a.taps * a.depth + kLaneSumFlop);
  const int slices = kernels::worthwhile_threads(threads, flop);
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
