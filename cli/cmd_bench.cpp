#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/audio_input.h"
#include "cli/bench.h"
#include "cli/bench_compare.h"
#include "cli/bench_kernels.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/machine_limits.h"
#include "cli/option_parsers.h"
#include "cli/printable.h"
#include "kernels/cpu.h"

namespace mimi::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kExamples =
    "  mimi bench                            the built-in model and recording\n"
    "  mimi bench --model kyutai/mimi speech.wav\n"
    "  mimi bench --dtype all                f32, bf16 and int8\n"
    "  mimi bench --json --threads 1 > bench.json\n"
    "  mimi bench --threads 1 --compare bench.json --fall 5\n"
    "  mimi bench --kernels                  each kernel alone, on each instruction set\n";

struct BenchOptions {
  std::string input;
  int seconds = 30;
  int runs = 5;
  int levels = 0;  // 0: 8, or all of a model that has fewer
  int streams = 1;
  bool json = false;
  bool kernels = false;
  std::string compare;  // what --json printed earlier; empty: nothing to compare with
  double fall_percent = 10;
};

// What --compare names.
struct Earlier {
  std::string path;
  Json report;
};

// Before anything is measured. Throws Error.
void require_comparable(const std::optional<Earlier>& earlier, const Json& now) {
  if (earlier) require_same_subject(earlier->report, now, earlier->path);
}

// All that is known about one call of the command.
struct Report {
  ModelInfo model;
  std::vector<Dtype> dtypes;
  std::string recording;
  std::string isa;
  int levels, runs;
  double audio_seconds, clock_hz;
  std::vector<double> load_seconds;  // of each dtype
  BenchFigures figures;
  double peak_memory_mb;
};

std::string name_of(Dtype dtype) { return std::string(dtype_name(dtype)); }

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

double peak_of(const BenchFigures& figures, const SpeedFigures& speed) {
  for (const PeakFigures& peak : figures.peaks) {
    if (peak.dtype == speed.dtype && peak.threads == speed.threads) return peak.flop_per_second;
  }
  return 0;
}

Json stage_json(const StageCost& stage, double peak) {
  const double flop_per_second = stage.flop / stage.seconds;
  return {{"seconds", stage.seconds},
          {"gflops", flop_per_second / 1e9},
          {"share_of_peak", flop_per_second / peak}};
}

Json speed_json(const SpeedFigures& speed, const Report& report) {
  const double peak = peak_of(report.figures, speed);
  const double flop_per_second = total_flop(speed.cost) / speed.median_seconds;
  return {{"dtype", name_of(speed.dtype)},
          {"direction", speed.direction},
          {"threads", speed.threads},
          {"median_seconds", speed.median_seconds},
          {"best_seconds", speed.best_seconds},
          {"times_real_time", report.audio_seconds / speed.median_seconds},
          {"best_times_real_time", report.audio_seconds / speed.best_seconds},
          {"real_time_factor", speed.median_seconds / report.audio_seconds},
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
               {"clock_ghz", report.clock_hz / 1e9},
               {"model", report.model.name},
               {"parameters", report.model.parameters},
               {"recording", report.recording},
               {"audio_seconds", report.audio_seconds},
               {"levels", report.levels},
               {"runs", report.runs},
               {"peak_memory_mb", report.peak_memory_mb}};
  for (std::size_t i = 0; i < report.dtypes.size(); ++i) {
    json["loads"].push_back(
        {{"dtype", name_of(report.dtypes[i])}, {"seconds", report.load_seconds[i]}});
  }
  for (const PeakFigures& peak : figures.peaks) {
    json["peaks"].push_back({{"dtype", name_of(peak.dtype)},
                             {"threads", peak.threads},
                             {"gflops", peak.flop_per_second / 1e9},
                             {"flop_per_cycle", peak.flop_per_cycle}});
  }
  for (const SpeedFigures& speed : figures.speeds) {
    json["speeds"].push_back(speed_json(speed, report));
  }
  for (const LatencyFigures& latency : figures.latencies) {
    json["latencies"].push_back({{"dtype", name_of(latency.dtype)},
                                 {"direction", latency.direction},
                                 {"threads", latency.threads},
                                 {"frames", latency.frames},
                                 {"median_ms", latency.median_seconds * 1e3},
                                 {"p99_ms", latency.p99_seconds * 1e3}});
  }
  for (const StreamsFigures& together : figures.streams) {
    json["streams"].push_back({{"dtype", name_of(together.dtype)},
                               {"direction", together.direction},
                               {"threads", together.threads},
                               {"streams", together.streams},
                               {"times_real_time", together.times_real_time},
                               {"share_of_whole", together.share_of_whole}});
  }
  return json;
}

void print_stage(const StageCost& stage, double peak) {
  const double flop_per_second = stage.flop / stage.seconds;
  std::printf("  %7.1f %3.0f %%", flop_per_second / 1e9, 100 * flop_per_second / peak);
}

void print_speed(const SpeedFigures& speed, const Report& report) {
  const double peak = peak_of(report.figures, speed);
  const double flop_per_second = total_flop(speed.cost) / speed.median_seconds;
  std::printf("%-4s  %s  %7d  %6.1fx %6.1fx  %.4f  %7.1f %3.0f %%", name_of(speed.dtype).c_str(),
              speed.direction.c_str(), speed.threads, report.audio_seconds / speed.median_seconds,
              report.audio_seconds / speed.best_seconds,
              speed.median_seconds / report.audio_seconds, flop_per_second / 1e9,
              100 * flop_per_second / peak);
  print_stage(speed.cost.seanet, peak);
  print_stage(speed.cost.transformer, peak);
  print_stage(speed.cost.quantizer, peak);
  std::printf("\n");
}

void print_table(const Report& report) {
  const BenchFigures& figures = report.figures;
  std::printf("mimi %s, %s, %s\n", MIMI_VERSION, kernels::cpu_name().c_str(), report.isa.c_str());
  std::printf("model %s, %.1f M parameters, %d levels; %.1f s of %s; %d runs\n\n",
              printable(report.model.name).c_str(),
              static_cast<double>(report.model.parameters) / 1e6, report.levels,
              report.audio_seconds, printable(report.recording).c_str(), report.runs);
  for (const PeakFigures& peak : figures.peaks) {
    std::printf(
        "multiply-add peak, %s, threads %d: %.1f GFLOP/s, %.1f FLOP per cycle at %.2f GHz\n",
        name_of(peak.dtype).c_str(), peak.threads, peak.flop_per_second / 1e9, peak.flop_per_cycle,
        report.clock_hz / 1e9);
  }
  std::printf(
      "\n              threads   x real time            GFLOP/s and share of the peak\n"
      "                        median    best     RTF      whole          SEANet         "
      "transformer"
      "    quantizer\n");
  for (const SpeedFigures& speed : figures.speeds) print_speed(speed, report);
  if (!figures.streams.empty()) {
    std::printf("\n%d streams together, a frame of each at a time\n",
                figures.streams.front().streams);
  }
  for (const StreamsFigures& together : figures.streams) {
    std::printf("%-4s  %s, threads %-4d         %6.1fx, %3.0f %% of a whole recording's speed\n",
                name_of(together.dtype).c_str(), together.direction.c_str(), together.threads,
                together.times_real_time, 100 * together.share_of_whole);
  }
  std::printf("\none frame of a stream, ms         median     p99\n");
  for (const LatencyFigures& latency : figures.latencies) {
    std::printf("%-4s  %s, threads %-4d         %7.2f %7.2f\n", name_of(latency.dtype).c_str(),
                latency.direction.c_str(), latency.threads, latency.median_seconds * 1e3,
                latency.p99_seconds * 1e3);
  }
  std::printf("\n");
  for (std::size_t i = 0; i < report.dtypes.size(); ++i) {
    std::printf("load in %s %.3f s, ", name_of(report.dtypes[i]).c_str(), report.load_seconds[i]);
  }
  std::printf("peak memory %.0f MB\n", report.peak_memory_mb);
}

// Loads the model in a dtype and adds its figures.
void measure_dtype(const BenchOptions& options, const CommonOptions& common,
                   const std::optional<Earlier>& earlier, std::optional<Dtype> dtype,
                   Report& report) {
  const auto start = std::chrono::steady_clock::now();
  const Model model = open_model(common, encoding(ModelUse::kBoth, options.levels), dtype);
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  report.load_seconds.push_back(load.count());
  report.model = model.info();
  report.dtypes.push_back(report.model.dtype);
  report.isa = model.isa();
  report.levels = encoded_levels(options.levels, model);
  require_comparable(earlier, {{"model", report.model.name}, {"levels", report.levels}});
  const int rate_hz = report.model.sample_rate;
  const std::vector<float> samples = options.input.empty()
                                         ? synthesize_voice(rate_hz, options.seconds)
                                         : read_recording(options.input, rate_hz, options.seconds);
  const int frame_samples = report.model.frame_samples;
  if (samples.size() < static_cast<std::size_t>(frame_samples)) {
    throw Error(report.recording + ": has " + std::to_string(samples.size()) + " samples at " +
                std::to_string(rate_hz) + " Hz, fewer than a frame of " +
                std::to_string(frame_samples));
  }
  report.audio_seconds = static_cast<double>(samples.size()) / rate_hz;
  BenchPlan plan = {.levels = report.levels,
                    .streams = options.streams,
                    .runs = options.runs,
                    .threads = {1},
                    .clock_hz = report.clock_hz};
  const int threads = thread_count(common);
  if (threads > 1) plan.threads.push_back(threads);
  run_benchmarks(model, samples, plan, report.figures);
}

Report measure_codec(const BenchOptions& options, const CommonOptions& common,
                     const std::optional<Earlier>& earlier) {
  Report report{};
  report.recording = options.input.empty() ? "the built-in recording" : options.input;
  report.runs = options.runs;
  report.clock_hz = measure_clock_hz();
  if (common.dtype) {
    for (const Dtype dtype : chosen_dtypes(common, *common.dtype)) {
      measure_dtype(options, common, earlier, dtype, report);
    }
  } else {
    measure_dtype(options, common, earlier, std::nullopt, report);
  }
  report.peak_memory_mb = peak_memory_mb();
  return report;
}

// Measures, and prints the table unless JSON is wanted. Returns the JSON.
Json bench_codec(const BenchOptions& options, const CommonOptions& common,
                 const std::optional<Earlier>& earlier) {
  const Report report = measure_codec(options, common, earlier);
  if (!options.json) print_table(report);
  return report_json(report);
}

Json bench_all_kernels(const BenchOptions& options, const CommonOptions& common,
                       const std::optional<Earlier>& earlier) {
  require_comparable(earlier, Json::object());
  const KernelBench bench =
      bench_kernels(chosen_tables(common),
                    chosen_dtypes(common, common.dtype.value_or(DtypeChoice::kAll)), options.runs);
  if (!options.json) {
    std::printf("mimi %s, %s, ", MIMI_VERSION, kernels::cpu_name().c_str());
    print_kernel_bench(bench);
  }
  Json json = {{"version", MIMI_VERSION}, {"cpu", kernels::cpu_name()}, {"runs", options.runs}};
  json.update(kernel_bench_json(bench));
  return json;
}

int run_bench(const BenchOptions& options, const CommonOptions& common) {
  refuse_second_stdin({options.input, options.compare});
  std::optional<Earlier> earlier;
  if (!options.compare.empty()) {
    earlier =
        Earlier{.path = input_name(options.compare), .report = read_bench_json(options.compare)};
  }
  Json now = options.kernels ? bench_all_kernels(options, common, earlier)
                             : bench_codec(options, common, earlier);
  std::vector<ComparedFigure> compared;
  if (earlier) {
    compared = compare_bench_json(earlier->report, now, earlier->path);
    if (!common.quiet) {
      for (const std::string& line : other_conditions(earlier->report, now)) {
        report(earlier->path + ": " + line);
      }
    }
    now["comparison"] = comparison_json(compared);
    if (!options.json) print_comparison(compared, options.fall_percent);
  }
  if (options.json) std::printf("%s\n", printable_json(now, 1).c_str());
  const int fallen = count_fallen(compared, options.fall_percent);
  if (fallen == 0) return kExitDone;
  char text[80];
  std::snprintf(text, sizeof text, ": %d of %zu figures fell by more than %g %%", fallen,
                compared.size(), options.fall_percent);
  report(earlier->path + text);
  return kExitFallen;
}

double parse_percent(const std::string& text) {
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error == std::errc() && end == text.data() + text.size() && percent >= 0 && percent <= 100) {
    return percent;
  }
  throw CLI::ValidationError("'" + text + "' is not a number from 0 to 100");
}

}  // namespace

void add_bench(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure the codec's speed on this machine.");
  command->footer(kExamples);
  naming_something(command->add_option("IN", options->input));
  command->add_flag("--json", options->json, "print one JSON object instead of a table");
  add_number(*command, "--seconds", options->seconds, 1, 3600,
             "seconds of audio in a run, at most those of IN (default 30)");
  add_number(*command, "--runs", options->runs, 1, 1000, "runs to take the median of (default 5)");
  add_number(*command, "-l,--levels", options->levels, 1, 64, "codebooks per frame (default 8)");
  add_number(*command, "--streams", options->streams, 1, 4096,
             "measure so many streams advanced together, too");
  command
      ->add_flag("--kernels", options->kernels,
                 "measure each kernel alone, on each instruction set (--isa: on that one)")
      ->excludes(command->get_option("IN"))
      ->excludes(command->get_option("--seconds"))
      ->excludes(command->get_option("--levels"))
      ->excludes(command->get_option("--streams"));
  CLI::Option* compare =
      add_path(*command, "--compare", "JSON", options->compare,
               "set the figures beside those of an earlier --json; exit code 3 when one fell");
  add_parsed(*command, "--fall", "PERCENT", options->fall_percent,
             "by how much a figure may fall, in percent (default 10)", parse_percent)
      ->needs(compare);
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_bench(options, common); };
  });
}

}  // namespace mimi::cli
