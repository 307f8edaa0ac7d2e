#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/audio_input.h"
#include "cli/bench.h"
#include "cli/bench_compare.h"
#include "cli/bench_kernels.h"
#include "cli/commands.h"
#include "kernels/dispatch.h"

namespace mimi::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kExamples =
    "  mimi bench                            the built-in model and recording\n"
    "  mimi bench --model kyutai/mimi speech.wav\n"
    "  mimi bench --json --threads 1 > bench.json\n"
    "  mimi bench --threads 1 --compare bench.json --fall 5\n"
    "  mimi bench --kernels                  each kernel alone, on each instruction set\n";

struct BenchOptions {
  std::string input;
  int seconds = 30;
  int runs = 5;
  int levels = 0;  // 0: 8, or all of a model that has fewer
  bool json = false;
  bool kernels = false;
  std::string compare;  // what --json printed earlier; empty: nothing to compare with
  double fall_percent = 10;
};

// All that is known about one call of the command.
struct Report {
  ModelInfo model;
  std::string recording;
  std::string isa;
  int levels, runs;
  double load_seconds;
  BenchFigures figures;
  double peak_memory_mb;
};

std::vector<float> read_recording(const std::string& path, int rate_hz, int seconds) {
  AudioInput input(path, {}, rate_hz);
  const auto most = static_cast<std::size_t>(rate_hz) * static_cast<std::size_t>(seconds);
  std::vector<float> samples, block;
  while (samples.size() < most && input.read(block)) {
    samples.insert(samples.end(), block.begin(), block.end());
  }
  if (samples.empty()) throw Error(path + ": has no samples to measure with");
  samples.resize(std::min(samples.size(), most));
  return samples;
}

double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double total_flop(const CodecCost& cost) {
  return cost.seanet.flop + cost.transformer.flop + cost.quantizer.flop;
}

double peak_of(const BenchFigures& figures, int threads) {
  for (const PeakFigures& peak : figures.peaks) {
    if (peak.threads == threads) return peak.flop_per_second;
  }
  return 0;
}

Json stage_json(const StageCost& stage, double peak) {
  const double flop_per_second = stage.flop / stage.seconds;
  return {{"seconds", stage.seconds},
          {"gflops", flop_per_second / 1e9},
          {"share_of_peak", flop_per_second / peak}};
}

Json speed_json(const SpeedFigures& speed, const BenchFigures& figures) {
  const double peak = peak_of(figures, speed.threads);
  const double flop_per_second = total_flop(speed.cost) / speed.median_seconds;
  return {{"direction", speed.direction},
          {"threads", speed.threads},
          {"median_seconds", speed.median_seconds},
          {"best_seconds", speed.best_seconds},
          {"times_real_time", figures.audio_seconds / speed.median_seconds},
          {"best_times_real_time", figures.audio_seconds / speed.best_seconds},
          {"real_time_factor", speed.median_seconds / figures.audio_seconds},
          {"gflops", flop_per_second / 1e9},
          {"share_of_peak", flop_per_second / peak},
          {"stages",
           {{"seanet", stage_json(speed.cost.seanet, peak)},
            {"transformer", stage_json(speed.cost.transformer, peak)},
            {"quantizer", stage_json(speed.cost.quantizer, peak)}}}};
}

Json report_json(const Report& report) {
  const BenchFigures& figures = report.figures;
  Json json = {{"version", MIMI_VERSION},
               {"cpu", kernels::cpu_name()},
               {"isa", report.isa},
               {"dtype", dtype_name(report.model.dtype)},
               {"clock_ghz", figures.clock_hz / 1e9},
               {"model", report.model.name},
               {"parameters", report.model.parameters},
               {"recording", report.recording},
               {"audio_seconds", figures.audio_seconds},
               {"levels", report.levels},
               {"runs", report.runs},
               {"load_seconds", report.load_seconds},
               {"peak_memory_mb", report.peak_memory_mb}};
  for (const PeakFigures& peak : figures.peaks) {
    json["peaks"].push_back({{"threads", peak.threads},
                             {"gflops", peak.flop_per_second / 1e9},
                             {"flop_per_cycle", peak.flop_per_cycle}});
  }
  for (const SpeedFigures& speed : figures.speeds) {
    json["speeds"].push_back(speed_json(speed, figures));
  }
  for (const LatencyFigures& latency : figures.latencies) {
    json["latencies"].push_back({{"direction", latency.direction},
                                 {"threads", latency.threads},
                                 {"frames", latency.frames},
                                 {"median_ms", latency.median_seconds * 1e3},
                                 {"p99_ms", latency.p99_seconds * 1e3}});
  }
  return json;
}

void print_stage(const StageCost& stage, double peak) {
  const double flop_per_second = stage.flop / stage.seconds;
  std::printf("  %7.1f %3.0f %%", flop_per_second / 1e9, 100 * flop_per_second / peak);
}

void print_speed(const SpeedFigures& speed, const BenchFigures& figures) {
  const double peak = peak_of(figures, speed.threads);
  const double flop_per_second = total_flop(speed.cost) / speed.median_seconds;
  std::printf("%s  %7d  %6.1fx %6.1fx  %.4f  %7.1f %3.0f %%", speed.direction.c_str(),
              speed.threads, figures.audio_seconds / speed.median_seconds,
              figures.audio_seconds / speed.best_seconds,
              speed.median_seconds / figures.audio_seconds, flop_per_second / 1e9,
              100 * flop_per_second / peak);
  print_stage(speed.cost.seanet, peak);
  print_stage(speed.cost.transformer, peak);
  print_stage(speed.cost.quantizer, peak);
  std::printf("\n");
}

void print_table(const Report& report) {
  const BenchFigures& figures = report.figures;
  std::printf("mimi %s, %s, %s, %s\n", MIMI_VERSION, kernels::cpu_name().c_str(),
              report.isa.c_str(), std::string(dtype_name(report.model.dtype)).c_str());
  std::printf("model %s, %.1f M parameters, %d levels; %.1f s of %s; %d runs\n\n",
              report.model.name.c_str(), static_cast<double>(report.model.parameters) / 1e6,
              report.levels, figures.audio_seconds, report.recording.c_str(), report.runs);
  for (const PeakFigures& peak : figures.peaks) {
    std::printf("multiply-add peak, threads %d: %.1f GFLOP/s, %.1f FLOP per cycle at %.2f GHz\n",
                peak.threads, peak.flop_per_second / 1e9, peak.flop_per_cycle,
                figures.clock_hz / 1e9);
  }
  std::printf(
      "\n        threads   x real time            GFLOP/s and share of the peak\n"
      "                  median    best     RTF      whole          SEANet         transformer"
      "    quantizer\n");
  for (const SpeedFigures& speed : figures.speeds) print_speed(speed, figures);
  std::printf("\none frame of a stream, ms   median     p99\n");
  for (const LatencyFigures& latency : figures.latencies) {
    std::printf("%s, threads %-4d         %7.2f %7.2f\n", latency.direction.c_str(),
                latency.threads, latency.median_seconds * 1e3, latency.p99_seconds * 1e3);
  }
  std::printf("\nload %.3f s, peak memory %.0f MB\n", report.load_seconds, report.peak_memory_mb);
}

Report measure_codec(const BenchOptions& options, const CommonOptions& common) {
  const auto start = std::chrono::steady_clock::now();
  const Model model = open_model(common);
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  const int levels = encoded_levels(options.levels, model);
  const int rate_hz = model.info().sample_rate;
  const bool built_in = options.input.empty();
  const std::vector<float> samples = built_in
                                         ? synthesize_voice(rate_hz, options.seconds)
                                         : read_recording(options.input, rate_hz, options.seconds);
  BenchPlan plan = {.levels = levels, .runs = options.runs, .threads = {1}};
  const int threads = thread_count(common);
  if (threads > 1) plan.threads.push_back(threads);

  Report report = {.model = model.info(),
                   .recording = built_in ? "the built-in recording" : options.input,
                   .isa = std::string(model.isa()),
                   .levels = levels,
                   .runs = options.runs,
                   .load_seconds = load.count(),
                   .figures = run_benchmarks(model, samples, plan),
                   .peak_memory_mb = 0};
  report.peak_memory_mb = peak_memory_mb();
  return report;
}

// Measures, and prints the table unless JSON is wanted. Returns the JSON.
Json bench_codec(const BenchOptions& options, const CommonOptions& common) {
  const Report report = measure_codec(options, common);
  if (!options.json) print_table(report);
  return report_json(report);
}

Json bench_all_kernels(const BenchOptions& options, const CommonOptions& common) {
  const KernelBench bench = bench_kernels(chosen_tables(common), options.runs);
  if (!options.json) {
    std::printf("mimi %s, %s, ", MIMI_VERSION, kernels::cpu_name().c_str());
    print_kernel_bench(bench);
  }
  Json json = {{"version", MIMI_VERSION}, {"cpu", kernels::cpu_name()}, {"runs", options.runs}};
  json.update(kernel_bench_json(bench));
  return json;
}

int run_bench(const BenchOptions& options, const CommonOptions& common) {
  Json before;
  if (!options.compare.empty()) before = read_bench_json(options.compare);
  Json now = options.kernels ? bench_all_kernels(options, common) : bench_codec(options, common);
  std::vector<ComparedFigure> compared;
  if (!options.compare.empty()) {
    compared = compare_bench_json(before, now, options.compare);
    now["comparison"] = comparison_json(compared);
    if (!options.json) print_comparison(compared, options.fall_percent);
  }
  if (options.json) std::printf("%s\n", now.dump(1).c_str());
  const int fallen = count_fallen(compared, options.fall_percent);
  if (fallen == 0) return kExitDone;
  std::fprintf(stderr, "mimi: %s: %d of %zu figures fell by more than %g %%\n",
               options.compare.c_str(), fallen, compared.size(), options.fall_percent);
  return kExitFallen;
}

CLI::Option* add_count(CLI::App& app, const std::string& name, int& value, int most,
                       const std::string& description) {
  return app.add_option(name, value, description)
      ->type_name("N")
      ->check(CLI::Range(1, most).description(""));
}

}  // namespace

void add_bench(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure the codec's speed on this machine.");
  command->footer(kExamples);
  command->add_option("IN", options->input);
  command->add_flag("--json", options->json, "print one JSON object instead of a table");
  add_count(*command, "--seconds", options->seconds, 3600,
            "seconds of audio in a run, at most those of IN (default 30)");
  add_count(*command, "--runs", options->runs, 1000, "runs to take the median of (default 5)");
  add_count(*command, "-l,--levels", options->levels, 64, "codebooks per frame (default 8)");
  command
      ->add_flag("--kernels", options->kernels,
                 "measure each kernel alone, on each instruction set (--isa: on that one)")
      ->excludes(command->get_option("IN"))
      ->excludes(command->get_option("--seconds"))
      ->excludes(command->get_option("--levels"));
  CLI::Option* compare =
      command
          ->add_option(
              "--compare", options->compare,
              "set the figures beside those of an earlier --json; exit code 3 when one fell")
          ->type_name("JSON");
  command
      ->add_option("--fall", options->fall_percent,
                   "by how much a figure may fall, in percent (default 10)")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 100.0).description(""))
      ->needs(compare);
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_bench(options, common); };
  });
}

}  // namespace mimi::cli
