#include "cli/kernel_workload.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "core/linear.h"
#include "core/row_buffer.h"
#include "kernels/gemm.h"

namespace mimi::cli {
namespace {

using kernels::Dtype;
using kernels::KernelTable;
using kernels::kLanes;
using kernels::Packing;

// Whole files are worked on in blocks; of this many frames, and no more rows than this.
constexpr int kBlockFrames = 32;
constexpr int kMostBlockRows = 1920;

// A product of the published model, and how often a frame needs it.
struct Product {
  const char* name;
  int rows_a_frame;
  int taps, stride;
  int depth, columns;
  int encoding, decoding;
  bool fragile = false;  // not in int8
};
constexpr int kTransformerLayers = 8, kLevels = 8;
constexpr Product kProducts[] = {
    {"encoder first", 1920, 7, 1, 1, 64, 1, 0},
    {"unit of 64, narrow", 1920, 3, 1, 64, 32, 1, 1},
    {"unit of 64, widen", 1920, 1, 1, 32, 64, 1, 1},
    {"unit of 128, narrow", 480, 3, 1, 128, 64, 1, 1},
    {"unit of 128, widen", 480, 1, 1, 64, 128, 1, 1},
    {"unit of 256, narrow", 96, 3, 1, 256, 128, 1, 1},
    {"unit of 256, widen", 96, 1, 1, 128, 256, 1, 1},
    {"unit of 512, narrow", 16, 3, 1, 512, 256, 1, 1},
    {"unit of 512, widen", 16, 1, 1, 256, 512, 1, 1},
    {"down 64 to 128", 480, 8, 4, 64, 128, 1, 0},
    {"down 128 to 256", 96, 10, 5, 128, 256, 1, 0},
    {"down 256 to 512", 16, 12, 6, 256, 512, 1, 0},
    {"down 512 to 1024", 2, 16, 8, 512, 1024, 1, 0},
    {"encoder last", 2, 3, 1, 1024, 512, 1, 0, true},
    {"attention q, k, v", 2, 1, 1, 512, 1536, kTransformerLayers, kTransformerLayers},
    {"attention out", 2, 1, 1, 512, 512, kTransformerLayers, kTransformerLayers},
    {"MLP in", 2, 1, 1, 512, 2048, kTransformerLayers, kTransformerLayers},
    {"MLP out", 2, 1, 1, 2048, 512, kTransformerLayers, kTransformerLayers},
    {"downsample", 1, 4, 2, 512, 512, 1, 0, true},
    {"decoder first", 2, 7, 1, 512, 1024, 0, 1},
    {"up 1024 to 512, a phase", 2, 2, 1, 1024, 512, 0, 8},
    {"up 512 to 256, a phase", 16, 2, 1, 512, 256, 0, 6},
    {"up 256 to 128, a phase", 96, 2, 1, 256, 128, 0, 5},
    {"up 128 to 64, a phase", 480, 2, 1, 128, 64, 0, 4},
};

// A convolution of single samples stays in f32.
Dtype dtype_of(const Product& p, Dtype dtype) {
  if (p.depth == 1) return Dtype::kF32;
  return p.fragile && dtype == Dtype::kInt8 ? Dtype::kBf16 : dtype;
}

// Not all alike, so that nothing can be skipped, and small enough that sums stay finite.
void fill(kernels::AlignedFloats& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values.data()[i] = static_cast<float>(i * 40503 % 1021) * 1e-3f - 0.5f;
  }
}

RowBuffer filled_rows(int channels, int rows) {
  RowBuffer buffer(channels, 0, rows);
  for (int t = 0; t < rows; ++t) {
    for (int c = 0; c < channels; ++c) buffer.row(t)[c] = static_cast<float>((t + c) % 7) - 3.0f;
  }
  return buffer;
}

std::string shape_text(const char* name, const char* rows_are, int rows, int depth, int columns) {
  return std::string(name) + ", " + rows_are + ": " + std::to_string(rows) + " x " +
         std::to_string(depth) + " x " + std::to_string(columns);
}

// As many in each dtype: a model of smaller weights passes by in fewer bytes.
std::size_t cold_copies(std::size_t values) {
  return std::max<std::size_t>(1, kColdBytes / sizeof(float) / values);
}

// Everything that a product needs, shared by the copies of its std::function.
struct ProductData {
  std::vector<kernels::PackedMatrix> weights;
  RowBuffer input, output;
};

const char* panel_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "f32_panel";
    case Dtype::kBf16:
      return "bf16.panel";
    case Dtype::kInt8:
      break;
  }
  return "int8.panel";
}

// The conversion of the rows is a part of the call.
KernelCall product_call(const Packing& packing, const Product& p, const char* rows_are, int rows,
                        bool cold) {
  const int depth = p.taps * p.depth;
  const auto data = std::make_shared<ProductData>();
  kernels::AlignedFloats weights(static_cast<std::size_t>(depth) *
                                 static_cast<std::size_t>(p.columns));
  fill(weights);
  for (std::size_t i = 0; i < (cold ? cold_copies(weights.size()) : 1); ++i) {
    data->weights.emplace_back(packing,
                               kernels::WeightLayout{.data = weights.data(),
                                                     .tap_step = p.depth,
                                                     .depth_step = 1,
                                                     .column_step = depth,
                                                     .taps = p.taps,
                                                     .depth = p.depth,
                                                     .columns = p.columns},
                               std::span<const float>());
  }
  data->input = filled_rows(p.depth, (rows - 1) * p.stride + p.taps);
  data->output = RowBuffer(p.columns, 0, rows);
  const std::ptrdiff_t stride = data->input.stride();
  const kernels::GemmInput a = {.data = data->input.row(0),
                                .row_step = p.stride * stride,
                                .tap_step = stride,
                                .taps = p.taps,
                                .depth = p.depth};
  const auto call = [data, a, rows](std::size_t n) {
    const kernels::PackedMatrix& w = data->weights[n % data->weights.size()];
    kernels::gemm(w, a, {data->output.row(0), data->output.stride(), {}}, {0, rows, 0, w.panels()});
  };
  const double weight_bytes =
      double{sizeof(float)} * depth * p.columns / kernels::values_per_step(packing.dtype);
  const double row_values = static_cast<double>(rows) * (p.stride * p.depth + p.columns);
  return {panel_name(packing.dtype), shape_text(p.name, rows_are, rows, depth, p.columns),
          2.0 * rows * depth * p.columns, weight_bytes + row_values * sizeof(float), call};
}

void add_products(const Packing& packing, std::vector<KernelCallMaker>& calls) {
  for (const Product& p : kProducts) {
    if (p.depth == 1 && packing.dtype != Dtype::kF32) continue;
    calls.emplace_back(
        [packing, &p] { return product_call(packing, p, "a frame", p.rows_a_frame, true); });
    const int block_rows = std::min(kMostBlockRows, kBlockFrames * p.rows_a_frame);
    if (block_rows == p.rows_a_frame) continue;
    calls.emplace_back([packing, &p, block_rows] {
      return product_call(packing, p, "a block", block_rows, false);
    });
  }
}

// What bf16 and int8 make of rows before they multiply them.
KernelCall conversion_call(const Packing& packing, const char* rows_are, int rows, int channels) {
  struct Data {
    RowBuffer input, output;
    std::vector<float> scales;
  };
  const bool bf16 = packing.dtype == Dtype::kBf16;
  const KernelTable& table = *packing.table;
  const int floats = bf16 ? channels / 2 * table.bf16.floats_per_pair : channels / 4;
  const auto data =
      std::make_shared<Data>(Data{filled_rows(channels, rows), RowBuffer(floats, 0, rows),
                                  std::vector<float>(static_cast<std::size_t>(rows))});
  const auto call = [data, &table, bf16, rows, vecs = channels / kLanes](std::size_t) {
    const RowBuffer& in = data->input;
    RowBuffer& out = data->output;
    if (bf16)
      return table.bf16.round_rows(in.row(0), in.stride(), rows, vecs, out.row(0), out.stride());
    table.int8.quantize_rows(in.row(0), in.stride(), rows, vecs, out.row(0), out.stride(),
                             data->scales.data());
  };
  const int floats_a_row = channels + floats + (bf16 ? 0 : 1);
  return {bf16 ? "bf16.round_rows" : "int8.quantize_rows",
          std::string(rows_are) + ": " + std::to_string(rows) + " x " + std::to_string(channels), 0,
          1.0 * sizeof(float) * rows * floats_a_row, call};
}

void add_conversions(const Packing& packing, std::vector<KernelCallMaker>& calls) {
  const auto add = [&](const char* rows_are, int rows, int channels) {
    calls.emplace_back([=] { return conversion_call(packing, rows_are, rows, channels); });
  };
  add("stage of 64, a frame", 1920, 64);
  add("stage of 512, a block", 16 * kBlockFrames, 512);
  add("transformer, a frame", 2, 512);
  add("MLP, a block", 2 * kBlockFrames, 2048);
}

constexpr int kCodebookDim = 256, kCodebookEntries = 2048;

struct NearestData {
  std::vector<kernels::PackedMatrix> codebooks;
  RowBuffer input;
  std::vector<kernels::NearestColumn> nearest;
};

KernelCall nearest_call(const KernelTable& table, const char* rows_are, int rows, bool cold) {
  constexpr int kDim = kCodebookDim, kEntries = kCodebookEntries;
  const auto data = std::make_shared<NearestData>();
  kernels::AlignedFloats entries(std::size_t{kDim} * kEntries);
  fill(entries);
  for (std::size_t i = 0; i < (cold ? cold_copies(entries.size()) : 1); ++i) {
    const auto layout = linear_layout({entries.data(), entries.size()}, kDim, kEntries);
    data->codebooks.emplace_back(kernels::Packing{&table}, layout, std::span<const float>());
  }
  data->input = filled_rows(kDim, rows);
  data->nearest.resize(static_cast<std::size_t>(rows));
  const auto call = [data, &table, rows](std::size_t n) {
    const kernels::PackedMatrix& w = data->codebooks[n % data->codebooks.size()];
    table.nearest({.a = gemm_rows(data->input),
                   .rows = rows,
                   .panels = w.panel(0),
                   .columns = w.columns(),
                   .bias = w.bias(0),
                   .nearest = data->nearest.data()});
  };
  return {"nearest", shape_text("codebook", rows_are, rows, kDim, kEntries),
          2.0 * rows * kDim * kEntries, static_cast<double>(entries.size() * sizeof(float)), call};
}

KernelCall dot_rows_call(const KernelTable& table) {
  constexpr int kRows = 1920, kTaps = 3, kDepth = 64;
  struct Data {
    RowBuffer input, weights;
    std::vector<float> output;
  };
  const auto data =
      std::make_shared<Data>(Data{filled_rows(kDepth, kRows + kTaps - 1),
                                  filled_rows(kTaps * kDepth, 1), std::vector<float>(kRows)});
  const auto call = [data, &table](std::size_t) {
    const std::ptrdiff_t stride = data->input.stride();
    table.dot_rows({data->input.row(0), stride, stride, kTaps, kDepth}, kRows, data->weights.row(0),
                   0.0f, data->output.data());
  };
  return {"dot_rows", shape_text("decoder last", "a frame", kRows, kTaps * kDepth, 1),
          2.0 * kRows * kTaps * kDepth, sizeof(float) * (kDepth + 1.0) * kRows, call};
}

KernelCall layer_norm_call(const KernelTable& table) {
  constexpr int kRows = 2 * kBlockFrames, kChannels = 512;
  struct Data {
    RowBuffer input, output, weight, bias;
  };
  const auto data =
      std::make_shared<Data>(Data{filled_rows(kChannels, kRows), RowBuffer(kChannels, 0, kRows),
                                  filled_rows(kChannels, 1), filled_rows(kChannels, 1)});
  const auto call = [data, &table](std::size_t) {
    table.layer_norm(data->input.row(0), data->input.stride(), kRows, kChannels,
                     data->weight.row(0), data->bias.row(0), 1e-5f, data->output.row(0),
                     data->output.stride());
  };
  return {"layer_norm",
          "transformer, a block: " + std::to_string(kRows) + " x " + std::to_string(kChannels), 0,
          2.0 * sizeof(float) * kRows * kChannels, call};
}

constexpr int kHeads = 8, kHeadDim = 64, kWindow = 250;
constexpr double kAttentionFlop = 2 * 4.0 * kHeads * kHeadDim * kWindow;
constexpr double kKeysAndValuesBytes = 2.0 * sizeof(float) * kHeads * kHeadDim * kWindow;

// Two steps of one layer, all heads, its keys and values cold.
KernelCall attention_call(const KernelTable& table) {
  constexpr int kDim = kHeadDim, kBlocks = kWindow / kLanes + 3;
  constexpr std::size_t kRing = std::size_t{kBlocks} * kDim * kLanes;
  struct Data {
    kernels::AlignedFloats rings{kColdBytes / sizeof(float)};
    kernels::AlignedFloats query{kDim}, weights{2 * kBlocks * kLanes}, output{2 * kDim};
  };
  const auto data = std::make_shared<Data>();
  fill(data->rings);
  fill(data->query);
  const auto call = [data, &table](std::size_t n) {
    constexpr std::size_t kStep = 2 * kHeads * kRing;
    const float* ring = data->rings.data() + n % (data->rings.size() / kStep) * kStep;
    for (int head = 0; head < kHeads; ++head, ring += 2 * kRing) {
      const auto query = [&](int i) -> kernels::AttentionQuery {
        return {.query = data->query.data(),
                .first_step = 1000 + i,
                .last_step = 1000 + i + kWindow - 1,
                .weights = data->weights.data() + i * kBlocks * kLanes,
                .output = data->output.data() + i * kDim};
      };
      table.attention({.keys = ring,
                       .values = ring + kRing,
                       .next_keys = ring + (head + 1 < kHeads ? 2 * kRing : 0),
                       .head_dim = kDim,
                       .blocks = kBlocks,
                       .count = 2,
                       .queries = {query(0), query(1)}});
    }
  };
  return {"attention", "a frame of a layer: 8 heads x 2 queries x 250 keys of 64", kAttentionFlop,
          kKeysAndValuesBytes, call};
}

}  // namespace

std::vector<KernelCallMaker> kernel_calls(const KernelTable& table, Dtype dtype) {
  std::vector<KernelCallMaker> calls;
  add_products({&table, dtype}, calls);
  if (dtype != Dtype::kF32) {
    add_conversions({&table, dtype}, calls);
    return calls;
  }
  calls.emplace_back([&table] { return nearest_call(table, "a frame", 1, true); });
  calls.emplace_back([&table] { return nearest_call(table, "a block", kBlockFrames, false); });
  calls.emplace_back([&table] { return dot_rows_call(table); });
  calls.emplace_back([&table] { return layer_norm_call(table); });
  calls.emplace_back([&table] { return attention_call(table); });
  return calls;
}

std::vector<FrameWork> frame_work(Dtype dtype) {
  std::vector<FrameWork> work;
  for (const Product& p : kProducts) {
    const Dtype own = dtype_of(p, dtype);
    const double weights = 1.0 * p.taps * p.depth * p.columns;
    work.push_back({own, 2 * p.rows_a_frame * weights,
                    weights * sizeof(float) / kernels::values_per_step(own), p.encoding,
                    p.decoding});
  }
  constexpr double kCodebook = 1.0 * kCodebookDim * kCodebookEntries;
  work.push_back({Dtype::kF32, 2 * kCodebook, kCodebook * sizeof(float), kLevels, 0});
  work.push_back(
      {Dtype::kF32, kAttentionFlop, kKeysAndValuesBytes, kTransformerLayers, kTransformerLayers});
  return work;
}

}  // namespace mimi::cli
