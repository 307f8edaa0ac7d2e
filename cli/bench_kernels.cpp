#include "cli/bench_kernels.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <map>

#include "cli/kernel_workload.h"
#include "cli/machine_limits.h"
#include "core/model.h"

namespace mimi::cli {
namespace {

using kernels::KernelTable;

// Seconds of a call: each run repeats it for some milliseconds, the best run counts. Calls that are
// slow in themselves have fewer runs.
double measure(const KernelCall& c, int runs) {
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

using Peaks = std::map<kernels::Dtype, double>;  // operations a second

Peaks measure_peaks(const KernelTable& table) {
  Peaks peaks;
  for (const auto dtype : {kernels::Dtype::kF32, kernels::Dtype::kBf16, kernels::Dtype::kInt8}) {
    peaks[dtype] = measure_multiply_add_peak(table, dtype, 1);
  }
  return peaks;
}

KernelBench::FrameLimit frame_limit(const KernelTable& table, Dtype dtype, const Peaks& peaks,
                                    double read_bytes_per_second) {
  KernelBench::FrameLimit limit = {table.name, dtype, 0, 0};
  for (const FrameWork& work : frame_work(kernels_dtype(dtype))) {
    const double seconds =
        std::max(work.flop / peaks.at(work.dtype), work.bytes / read_bytes_per_second);
    limit.encode_seconds += work.encoding * seconds;
    limit.decode_seconds += work.decoding * seconds;
  }
  return limit;
}

}  // namespace

KernelBench bench_kernels(std::span<const KernelTable* const> tables, std::span<const Dtype> dtypes,
                          int runs) {
  KernelBench bench;
  bench.read_bytes_per_second = measure_read_bandwidth(kColdBytes);
  for (const KernelTable* table : tables) {
    const Peaks peaks = measure_peaks(*table);
    for (const Dtype dtype : dtypes) {
      bench.peaks.push_back({table->name, dtype, peaks.at(kernels_dtype(dtype))});
      bench.frame_limits.push_back(frame_limit(*table, dtype, peaks, bench.read_bytes_per_second));
      for (const auto& make : kernel_calls(*table, kernels_dtype(dtype))) {
        const KernelCall c = make();
        bench.kernels.push_back(
            {table->name, dtype, c.kernel, c.shape, measure(c, runs), c.flop, c.bytes});
      }
    }
  }
  return bench;
}

namespace {

double peak_of(const KernelBench& bench, const KernelFigures& k) {
  return std::find_if(bench.peaks.begin(), bench.peaks.end(),
                      [&](const auto& peak) { return peak.isa == k.isa && peak.dtype == k.dtype; })
      ->flop_per_second;
}

}  // namespace

void print_kernel_bench(const KernelBench& bench) {
  std::printf("one thread; it reads %.1f GB/s from %zu MB of memory\n",
              bench.read_bytes_per_second / 1e9, kColdBytes >> 20);
  const KernelFigures* before = nullptr;
  for (const KernelFigures& k : bench.kernels) {
    const double peak = peak_of(bench, k);
    if (before == nullptr || before->isa != k.isa || before->dtype != k.dtype) {
      std::printf("\n%s, %s, multiply-add peak %.1f GFLOP/s\n%-18s %-50s %9s %9s %6s %7s %6s\n",
                  k.isa.c_str(), std::string(dtype_name(k.dtype)).c_str(), peak / 1e9, "kernel",
                  "rows x depth x columns", "us", "GFLOP/s", "of it", "GB/s", "of it");
    }
    before = &k;
    std::printf("%-18s %-50s %9.2f", k.kernel.c_str(), k.shape.c_str(), k.seconds * 1e6);
    if (k.flop > 0) {
      std::printf(" %9.1f %4.0f %%", k.flop / k.seconds / 1e9, 100 * k.flop / k.seconds / peak);
    } else {
      std::printf(" %9s %6s", "", "");
    }
    std::printf(" %7.1f %4.0f %%\n", k.bytes / k.seconds / 1e9,
                100 * k.bytes / k.seconds / bench.read_bytes_per_second);
  }
  std::printf("\none frame of a stream, each layer at the nearer limit, ms   encode  decode\n");
  for (const auto& limit : bench.frame_limits) {
    std::printf("%-10s %-47s %6.2f  %6.2f\n", limit.isa.c_str(),
                std::string(dtype_name(limit.dtype)).c_str(), limit.encode_seconds * 1e3,
                limit.decode_seconds * 1e3);
  }
}

nlohmann::ordered_json kernel_bench_json(const KernelBench& bench) {
  nlohmann::ordered_json json = {{"read_gigabytes_per_second", bench.read_bytes_per_second / 1e9}};
  for (const auto& peak : bench.peaks) {
    json["peaks"].push_back({{"isa", peak.isa},
                             {"dtype", dtype_name(peak.dtype)},
                             {"gflops", peak.flop_per_second / 1e9}});
  }
  for (const auto& limit : bench.frame_limits) {
    json["frame_limits"].push_back({{"isa", limit.isa},
                                    {"dtype", dtype_name(limit.dtype)},
                                    {"encode_ms", limit.encode_seconds * 1e3},
                                    {"decode_ms", limit.decode_seconds * 1e3}});
  }
  for (const KernelFigures& k : bench.kernels) {
    nlohmann::ordered_json line = {{"isa", k.isa},
                                   {"dtype", dtype_name(k.dtype)},
                                   {"kernel", k.kernel},
                                   {"shape", k.shape},
                                   {"microseconds", k.seconds * 1e6}};
    if (k.flop > 0) {
      line["gflops"] = k.flop / k.seconds / 1e9;
      line["share_of_peak"] = k.flop / k.seconds / peak_of(bench, k);
    }
    line["gigabytes_per_second"] = k.bytes / k.seconds / 1e9;
    line["share_of_read_bandwidth"] = k.bytes / k.seconds / bench.read_bytes_per_second;
    json["kernels"].push_back(line);
  }
  return json;
}

}  // namespace mimi::cli
