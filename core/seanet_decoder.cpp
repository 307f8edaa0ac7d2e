#include "core/seanet_decoder.h"

#include <memory>

#include "kernels/batch.h"
#include "kernels/parallel.h"

namespace mimi {

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

SeanetDecoderStream::SeanetDecoderStream(const SeanetDecoder& model,
                                         const kernels::KernelTable& table, int block_frames,
                                         int threads, const Tap& tap)
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
    const auto row_of = [&](std::int64_t number) {
      return static_cast<int>(rows * number / slices);
    };
    const int first = row_of(slice), last = row_of(slice + 1);
    kernels::GemmInput slice_rows = a;
    slice_rows.data += first * a.row_step;
    table_->dot_rows(slice_rows, last - first, model_->last_weights.data(), model_->last_bias,
                     next_sample_ + first);
  });
  next_sample_ += rows;
  last_input_.advance(rows);
}

}  // namespace mimi
