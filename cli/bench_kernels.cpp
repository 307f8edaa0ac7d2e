#include "cli/bench_kernels.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>

#include "cli/machine_limits.h"
#include "core/linear.h"
#include "core/row_buffer.h"
#include "kernels/gemm.h"

namespace mimi::cli {
namespace {

using kernels::KernelTable;
using kernels::kLanes;

// What the weights of a frame of a stream lie in: the model goes by between two uses of them.
constexpr std::size_t kColdBytes = std::size_t{128} << 20;
// Whole files are worked on in blocks; of this many frames, and no more rows than this.
constexpr int kBlockFrames = 32;
constexpr int kMostBlockRows = 1920;

// One call, which may be repeated; its n-th repetition uses the n-th copy of the weights.
struct Case {
  std::string kernel, shape;
  double flop, bytes;
  std::function<void(std::size_t n)> call;
};

// A product of the published model.
struct Product {
  const char* name;
  int rows_a_frame;
  int taps, stride;
  int depth, columns;
};
constexpr Product kProducts[] = {
    {"encoder first", 1920, 7, 1, 1, 64},
    {"unit of 64, narrow", 1920, 3, 1, 64, 32},
    {"unit of 64, widen", 1920, 1, 1, 32, 64},
    {"unit of 128, narrow", 480, 3, 1, 128, 64},
    {"unit of 128, widen", 480, 1, 1, 64, 128},
    {"unit of 256, narrow", 96, 3, 1, 256, 128},
    {"unit of 512, narrow", 16, 3, 1, 512, 256},
    {"down 64 to 128", 480, 8, 4, 64, 128},
    {"down 128 to 256", 96, 10, 5, 128, 256},
    {"down 256 to 512", 16, 12, 6, 256, 512},
    {"down 512 to 1024", 2, 16, 8, 512, 1024},
    {"encoder last", 2, 3, 1, 1024, 512},
    {"attention q, k, v", 2, 1, 1, 512, 1536},
    {"attention out", 2, 1, 1, 512, 512},
    {"MLP in", 2, 1, 1, 512, 2048},
    {"MLP out", 2, 1, 1, 2048, 512},
    {"downsample", 1, 4, 2, 512, 512},
    {"decoder first", 2, 7, 1, 512, 1024},
    {"up 1024 to 512, a phase", 2, 2, 1, 1024, 512},
    {"up 512 to 256, a phase", 16, 2, 1, 512, 256},
    {"up 256 to 128, a phase", 96, 2, 1, 256, 128},
    {"up 128 to 64, a phase", 480, 2, 1, 128, 64},
};

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

std::size_t cold_copies(std::size_t bytes) { return std::max<std::size_t>(1, kColdBytes / bytes); }

// Everything that a product needs, shared by the copies of its std::function.
struct ProductData {
  std::vector<kernels::PackedMatrix> weights;
  RowBuffer input, output;
};

Case gemm_case(const KernelTable& table, const Product& p, const char* rows_are, int rows,
               bool cold) {
  const int depth = p.taps * p.depth;
  const auto data = std::make_shared<ProductData>();
  kernels::AlignedFloats weights(static_cast<std::size_t>(depth) *
                                 static_cast<std::size_t>(p.columns));
  fill(weights);
  const std::size_t bytes = weights.size() * sizeof(float);
  for (std::size_t i = 0; i < (cold ? cold_copies(bytes) : 1); ++i) {
    data->weights.emplace_back(kernels::Packing{&table},
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
  const double values = double{static_cast<double>(depth)} * p.columns +
                        static_cast<double>(rows) * (p.stride * p.depth + p.columns);
  return {"f32_panel", shape_text(p.name, rows_are, rows, depth, p.columns),
          2.0 * rows * depth * p.columns, values * sizeof(float), call};
}

void add_gemm(const KernelTable& table, std::vector<std::function<Case()>>& cases) {
  for (const Product& p : kProducts) {
    cases.emplace_back(
        [&table, &p] { return gemm_case(table, p, "a frame", p.rows_a_frame, true); });
    const int block_rows = std::min(kMostBlockRows, kBlockFrames * p.rows_a_frame);
    if (block_rows == p.rows_a_frame) continue;
    cases.emplace_back(
        [&table, &p, block_rows] { return gemm_case(table, p, "a block", block_rows, false); });
  }
}

struct NearestData {
  std::vector<kernels::PackedMatrix> codebooks;
  RowBuffer input;
  std::vector<std::int32_t> nearest;
};

Case nearest_case(const KernelTable& table, const char* rows_are, int rows, bool cold) {
  constexpr int kDim = 256, kEntries = 2048;
  const auto data = std::make_shared<NearestData>();
  kernels::AlignedFloats entries(std::size_t{kDim} * kEntries);
  fill(entries);
  const std::size_t bytes = entries.size() * sizeof(float);
  for (std::size_t i = 0; i < (cold ? cold_copies(bytes) : 1); ++i) {
    data->codebooks.push_back(
        pack_linear({&table}, {entries.data(), entries.size()}, kDim, kEntries));
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
          2.0 * rows * kDim * kEntries, static_cast<double>(bytes), call};
}

Case dot_rows_case(const KernelTable& table) {
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

Case layer_norm_case(const KernelTable& table) {
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

// One step of one layer, all heads, its keys and values cold.
Case attention_case(const KernelTable& table) {
  constexpr int kHeads = 8, kDim = 64, kWindow = 250, kBlocks = kWindow / kLanes + 3;
  constexpr std::size_t kRing = std::size_t{kBlocks} * kDim * kLanes;
  struct Data {
    kernels::AlignedFloats rings{kColdBytes / sizeof(float)};
    kernels::AlignedFloats query{kDim}, weights{kBlocks * kLanes}, output{kDim};
  };
  const auto data = std::make_shared<Data>();
  fill(data->rings);
  fill(data->query);
  const auto call = [data, &table](std::size_t n) {
    constexpr std::size_t kStep = 2 * kHeads * kRing;
    const float* ring = data->rings.data() + n % (data->rings.size() / kStep) * kStep;
    for (int head = 0; head < kHeads; ++head, ring += 2 * kRing) {
      table.attention({.query = data->query.data(),
                       .keys = ring,
                       .values = ring + kRing,
                       .head_dim = kDim,
                       .blocks = kBlocks,
                       .first_step = 1000,
                       .last_step = 1000 + kWindow - 1,
                       .weights = data->weights.data(),
                       .output = data->output.data()});
    }
  };
  return {"attention", "a step of a layer: 8 heads x 250 keys of 64", 4.0 * kHeads * kDim * kWindow,
          2.0 * sizeof(float) * kHeads * kDim * kWindow, call};
}

// Made one at a time: all their weights together would need gigabytes.
std::vector<std::function<Case()>> all_cases(const KernelTable& table) {
  std::vector<std::function<Case()>> cases;
  add_gemm(table, cases);
  cases.emplace_back([&table] { return nearest_case(table, "a frame", 1, true); });
  cases.emplace_back([&table] { return nearest_case(table, "a block", kBlockFrames, false); });
  cases.emplace_back([&table] { return dot_rows_case(table); });
  cases.emplace_back([&table] { return layer_norm_case(table); });
  cases.emplace_back([&table] { return attention_case(table); });
  return cases;
}

// Seconds of a call: each run repeats it for some milliseconds, the best run counts. Calls that are
// slow in themselves have fewer runs.
double measure(const Case& c, int runs) {
  constexpr double kRunSeconds = 5e-3, kMostSeconds = 0.2;
  std::size_t n = 0;
  const double once = seconds_of([&] { c.call(n++); });
  const int repeats = std::clamp(static_cast<int>(kRunSeconds / once), 1, 100000);
  double best = once, spent = once;
  for (int run = 0; run < runs && spent < kMostSeconds; ++run) {
    const double seconds = seconds_of([&] {
      for (int i = 0; i < repeats; ++i) c.call(n++);
    });
    best = std::min(best, seconds / repeats);
    spent += seconds;
  }
  return best;
}

}  // namespace

KernelBench bench_kernels(std::span<const KernelTable* const> tables, int runs) {
  KernelBench bench;
  bench.read_bytes_per_second = measure_read_bandwidth(kColdBytes);
  for (const KernelTable* table : tables) {
    bench.peaks.push_back(
        {table->name, measure_multiply_add_peak(*table, kernels::Dtype::kF32, 1)});
    for (const auto& make : all_cases(*table)) {
      const Case c = make();
      bench.kernels.push_back({table->name, c.kernel, c.shape, measure(c, runs), c.flop, c.bytes});
    }
  }
  return bench;
}

namespace {

double peak_of(const KernelBench& bench, const std::string& isa) {
  return std::find_if(bench.peaks.begin(), bench.peaks.end(),
                      [&](const auto& peak) { return peak.isa == isa; })
      ->flop_per_second;
}

}  // namespace

void print_kernel_bench(const KernelBench& bench) {
  std::printf("one thread; it reads %.1f GB/s from %zu MB of memory\n",
              bench.read_bytes_per_second / 1e9, kColdBytes >> 20);
  const std::string* isa = nullptr;
  for (const KernelFigures& k : bench.kernels) {
    const double peak = peak_of(bench, k.isa);
    if (isa == nullptr || *isa != k.isa) {
      isa = &k.isa;
      std::printf("\n%s, multiply-add peak %.1f GFLOP/s\n%-11s %-57s %9s %9s %6s %7s %6s\n",
                  k.isa.c_str(), peak / 1e9, "kernel", "rows x depth x columns", "us", "GFLOP/s",
                  "of it", "GB/s", "of it");
    }
    std::printf("%-11s %-57s %9.2f", k.kernel.c_str(), k.shape.c_str(), k.seconds * 1e6);
    if (k.flop > 0) {
      std::printf(" %9.1f %4.0f %%", k.flop / k.seconds / 1e9, 100 * k.flop / k.seconds / peak);
    } else {
      std::printf(" %9s %6s", "", "");
    }
    std::printf(" %7.1f %4.0f %%\n", k.bytes / k.seconds / 1e9,
                100 * k.bytes / k.seconds / bench.read_bytes_per_second);
  }
}

nlohmann::ordered_json kernel_bench_json(const KernelBench& bench) {
  nlohmann::ordered_json json = {{"read_gigabytes_per_second", bench.read_bytes_per_second / 1e9}};
  for (const auto& peak : bench.peaks) {
    json["peaks"].push_back({{"isa", peak.isa}, {"gflops", peak.flop_per_second / 1e9}});
  }
  for (const KernelFigures& k : bench.kernels) {
    nlohmann::ordered_json line = {{"isa", k.isa},
                                   {"kernel", k.kernel},
                                   {"shape", k.shape},
                                   {"microseconds", k.seconds * 1e6}};
    if (k.flop > 0) {
      line["gflops"] = k.flop / k.seconds / 1e9;
      line["share_of_peak"] = k.flop / k.seconds / peak_of(bench, k.isa);
    }
    line["gigabytes_per_second"] = k.bytes / k.seconds / 1e9;
    line["share_of_read_bandwidth"] = k.bytes / k.seconds / bench.read_bytes_per_second;
    json["kernels"].push_back(line);
  }
  return json;
}

}  // namespace mimi::cli
