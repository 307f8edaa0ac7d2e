#include "core/model.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "core/checkpoint.h"
#include "core/embedded_model.h"
#include "kernels/dispatch.h"
#include "kernels/float_mode.h"

namespace mimi {
namespace {

const kernels::KernelTable& select_table(const ModelOptions& options) {
  try {
    return kernels::select(options.isa);
  } catch (const std::invalid_argument& e) {
    throw Error(e.what());
  }
}

Dtype choose_dtype(const Checkpoint& checkpoint, const ModelOptions& options) {
  const std::optional<Conversion>& conversion = checkpoint.conversion();
  if (!conversion) return options.dtype.value_or(Dtype::kF32);
  const Dtype only = parse_dtype(conversion->dtype);
  if (options.dtype.value_or(only) == only) return only;
  throw Error(checkpoint.source() + ": was converted to " + conversion->dtype +
              " and is computed in that alone, not in " + std::string(dtype_name(*options.dtype)));
}

// Of a converted model that of the original, which gives the same bits in that dtype.
std::uint32_t checked_fingerprint(const Checkpoint& checkpoint) {
  const std::uint32_t own = checkpoint.fingerprint();
  if (!checkpoint.conversion()) return own;
  if (own == checkpoint.conversion()->checksum) return checkpoint.conversion()->fingerprint;
  throw Error(checkpoint.source() + ": its weights are not those that were written: damaged");
}

Model load(const Checkpoint& checkpoint, const ModelOptions& options) {
  const kernels::ScopedFloatMode mode;
  const Dtype dtype = choose_dtype(checkpoint, options);
  WeightReader reader({&select_table(options), kernels_dtype(dtype)}, checkpoint);
  const auto impl = std::make_shared<Model::Impl>(reader, options);
  reader.run(options.threads);
  checkpoint.expect_all_used();
  const Config& config = checkpoint.config();
  impl->info = {.name = checkpoint.name(),
                .fingerprint = checked_fingerprint(checkpoint),
                .sample_rate = config.sampling_rate,
                .frame_samples = config.frame_samples(),
                .levels = config.num_quantizers,
                .codebook_size = config.codebook_size,
                .parameters = checkpoint.parameters(),
                .dtype = dtype};
  return Model(impl);
}

double now_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace

kernels::Dtype kernels_dtype(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return kernels::Dtype::kF32;
    case Dtype::kBf16:
      return kernels::Dtype::kBf16;
    case Dtype::kInt8:
      break;
  }
  return kernels::Dtype::kInt8;
}

Model::Impl::Impl(WeightReader& reader, const ModelOptions& options)
    : table(reader.packing().table), use(options.use) {
  const Config& config = reader.checkpoint().config();
  const int hidden = config.hidden_size;
  const bool encodes = use != ModelUse::kDecode, decodes = use != ModelUse::kEncode;
  levels = options.levels == 0 ? config.num_quantizers
                               : std::clamp(options.levels, 1, config.num_quantizers);
  reader.keep(encodes);
  encoder.emplace(reader);
  encoder_transformer.emplace(reader, "encoder_transformer");
  downsample.load(reader, reader.packing().at_least_bf16().dtype, "downsample.conv",
                  {.in_channels = hidden, .out_channels = hidden, .kernel = 4, .stride = 2},
                  /*has_bias=*/false);
  quantizer.emplace(reader, QuantizerUse{encodes, decodes, levels});
  reader.keep(decodes);
  upsample.emplace(reader);
  decoder_transformer.emplace(reader, "decoder_transformer");
  decoder.emplace(reader);
}

void check_use(const Model& model, ModelUse use, int levels) {
  const Model::Impl& m = model.impl();
  const std::string opened = "the model '" + m.info.name + "' was opened for ";
  if (m.use != ModelUse::kBoth && m.use != use) {
    throw Error(opened + (m.use == ModelUse::kEncode ? "encoding" : "decoding") + " only");
  }
  if (levels > m.levels) {
    throw Error(opened + std::to_string(m.levels) + " levels, not for " + std::to_string(levels));
  }
}

Model::Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Model Model::open(const std::string& path, const ModelOptions& options) {
  return load(Checkpoint::open(path), options);
}

Model Model::embedded(const ModelOptions& options) {
  return load(
      Checkpoint::from_memory(embedded_model_weights(), embedded_model_config(), "mimi-small"),
      options);
}

const ModelInfo& Model::info() const { return impl_->info; }

std::string_view Model::isa() const { return impl_->table->name; }

Dtype parse_dtype(std::string_view name) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kInt8}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  throw Error("unknown dtype '" + std::string(name) + "'; expected f32, bf16 or int8");
}

std::string_view dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "f32";
    case Dtype::kBf16:
      return "bf16";
    case Dtype::kInt8:
      break;
  }
  return "int8";
}

Window parse_window(std::string_view name) {
  for (const Window window : {Window::kOffline, Window::kMoshiStreaming, Window::kRust}) {
    if (name == window_name(window)) return window;
  }
  throw Error("unknown window '" + std::string(name) +
              "'; expected offline, moshi-streaming or rust");
}

std::string_view window_name(Window window) {
  switch (window) {
    case Window::kOffline:
      return "offline";
    case Window::kMoshiStreaming:
      return "moshi-streaming";
    case Window::kRust:
      break;
  }
  return "rust";
}

std::vector<int> first_levels(int count) {
  if (count < 0) throw Error("levels: found " + std::to_string(count) + ", expected at least 0");
  std::vector<int> levels(static_cast<std::size_t>(count));
  std::iota(levels.begin(), levels.end(), 0);
  return levels;
}

int checked_block_frames(const StreamOptions& options) {
  // Enough for the widest layers to be read seldom; the memory for it is a few megabytes.
  constexpr int kDefaultBlockFrames = 48;
  constexpr int kMostBlockFrames = 1024;
  constexpr int kMostThreads = 1024;
  if (options.threads < 1 || options.threads > kMostThreads) {
    throw Error("threads: found " + std::to_string(options.threads) + ", expected 1 to " +
                std::to_string(kMostThreads));
  }
  if (options.block_frames < 0 || options.block_frames > kMostBlockFrames) {
    throw Error("block frames: found " + std::to_string(options.block_frames) + ", expected 0 to " +
                std::to_string(kMostBlockFrames));
  }
  return options.block_frames == 0 ? kDefaultBlockFrames : options.block_frames;
}

void check_first_frame(std::int64_t first_frame) {
  if (first_frame >= 0 && first_frame <= kMostFrames) return;
  throw Error("first frame: found " + std::to_string(first_frame) + ", expected 0 to " +
              std::to_string(kMostFrames));
}

void check_same_batch(const Model& model, const StreamOptions& options, const Model& other,
                      const StreamOptions& other_options) {
  if (&model.impl() != &other.impl()) {
    throw Error("streams to be advanced together are of two models, '" + model.info().name +
                "' and '" + other.info().name + "'");
  }
  if (options.threads != other_options.threads) {
    throw Error("streams to be advanced together have " + std::to_string(options.threads) +
                " threads and " + std::to_string(other_options.threads));
  }
}

StageTimer::StageTimer(std::vector<StageCost*> costs, double flop_a_stream)
    : costs_(std::move(costs)), start_seconds_(now_seconds()) {
  for (StageCost* cost : costs_) cost->flop += flop_a_stream;
}

StageTimer::~StageTimer() {
  const double seconds = (now_seconds() - start_seconds_) / static_cast<double>(costs_.size());
  for (StageCost* cost : costs_) cost->seconds += seconds;
}

}  // namespace mimi
