#include "cli/eval/report.h"

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/printable.h"

namespace mimi::cli {
namespace {

using Json = nlohmann::ordered_json;

// Of the recordings for which a figure is defined.
class Mean {
 public:
  void add(double value) {
    if (!std::isfinite(value)) return;
    sum_ += value;
    ++count_;
  }
  double value() const {
    return count_ == 0 ? std::numeric_limits<double>::quiet_NaN() : sum_ / count_;
  }

 private:
  double sum_ = 0;
  int count_ = 0;
};

double total_seconds(const EvalReport& report) {
  double seconds = 0;
  for (const RecordingFigures& recording : report.recordings) seconds += recording.seconds;
  return seconds;
}

LevelFigures mean_of(const std::vector<RecordingFigures>& recordings, std::size_t index) {
  Mean si_sdr, mel, convergence, bits;
  for (const RecordingFigures& recording : recordings) {
    const LevelFigures& figures = recording.levels[index];
    si_sdr.add(figures.distances.si_sdr_db);
    mel.add(figures.distances.mel);
    convergence.add(figures.distances.spectral_convergence);
    bits.add(figures.bits_per_second);
  }
  return {.levels = recordings.front().levels[index].levels,
          .distances = {.si_sdr_db = si_sdr.value(),
                        .mel = mel.value(),
                        .spectral_convergence = convergence.value()},
          .bits_per_second = bits.value()};
}

std::vector<LevelFigures> means(const std::vector<RecordingFigures>& recordings) {
  std::vector<LevelFigures> all;
  for (std::size_t i = 0; i < recordings.front().levels.size(); ++i) {
    all.push_back(mean_of(recordings, i));
  }
  return all;
}

std::string figure(double value, const char* format) {
  if (!std::isfinite(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

void print_figures(const std::vector<LevelFigures>& levels, const std::string& name) {
  for (const LevelFigures& figures : levels) {
    std::printf("%6d  %8s  %9s  %5s  %11s  %s\n", figures.levels,
                figure(figures.bits_per_second, "%.0f").c_str(),
                figure(figures.distances.si_sdr_db, "%.2f").c_str(),
                figure(figures.distances.mel, "%.3f").c_str(),
                figure(figures.distances.spectral_convergence, "%.3f").c_str(),
                printable(name).c_str());
  }
}

void print_codes(const CodeStatistics& codes) {
  std::printf("\n%lld frames; entropy is at most %.2f bits, the logarithm of the frames\n",
              static_cast<long long>(codes.frames()),
              std::log2(static_cast<double>(codes.frames())));
  std::printf(" level  entropy, bits  entries used\n");
  for (int level = 0; level < codes.levels(); ++level) {
    std::printf("%6d  %13.2f  %4d of %d, %.0f %%\n", level, codes.entropy_bits(level),
                codes.used(level), codes.entries(), 100.0 * codes.used(level) / codes.entries());
  }
}

// Null where the value is not finite.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json to_json(const StftShape& shape) {
  return {{"fft", shape.fft}, {"window", shape.window}, {"hop", shape.hop}};
}

Json to_json(const std::vector<LevelFigures>& levels) {
  Json list = Json::array();
  for (const LevelFigures& figures : levels) {
    list.push_back({{"levels", figures.levels},
                    {"bits_per_second", number(figures.bits_per_second)},
                    {"si_sdr_db", number(figures.distances.si_sdr_db)},
                    {"mel_distance", number(figures.distances.mel)},
                    {"spectral_convergence", number(figures.distances.spectral_convergence)}});
  }
  return list;
}

Json parameters_json() {
  Json resolutions = Json::array();
  for (const StftShape& shape : kResolutions) resolutions.push_back(to_json(shape));
  Json mel = to_json(kMelShape);
  mel["bands"] = kMelBands;
  mel["floor"] = kMelFloor;
  return {{"mel", mel}, {"spectral_convergence", resolutions}};
}

Json codes_json(const CodeStatistics& codes) {
  Json list = Json::array();
  for (int level = 0; level < codes.levels(); ++level) {
    list.push_back({{"level", level},
                    {"entropy_bits", codes.entropy_bits(level)},
                    {"entries_used", codes.used(level)},
                    {"share_used", static_cast<double>(codes.used(level)) / codes.entries()}});
  }
  return list;
}

}  // namespace

void print_eval_table(const EvalReport& report) {
  const std::size_t count = report.recordings.size();
  std::printf("mimi %s, model %s (%s), %zu recording%s, %.1f s\n\n", MIMI_VERSION,
              printable(report.model.name).c_str(),
              std::string(dtype_name(report.model.dtype)).c_str(), count, count == 1 ? "" : "s",
              total_seconds(report));
  std::printf("levels     bit/s  SI-SDR dB    mel  convergence  recording\n");
  for (const RecordingFigures& recording : report.recordings) {
    print_figures(recording.levels, recording.name);
  }
  print_figures(means(report.recordings), "mean");
  print_codes(report.codes);
}

std::string eval_json(const EvalReport& report) {
  Json json = {{"version", MIMI_VERSION},
               {"model", report.model.name},
               {"dtype", dtype_name(report.model.dtype)},
               {"parameters", parameters_json()},
               {"recordings", Json::array()}};
  for (const RecordingFigures& recording : report.recordings) {
    json["recordings"].push_back({{"name", recording.name},
                                  {"seconds", recording.seconds},
                                  {"levels", to_json(recording.levels)}});
  }
  json["mean"] = to_json(means(report.recordings));
  json["frames"] = report.codes.frames();
  json["codes"] = codes_json(report.codes);
  return printable_json(json, 1);
}

}  // namespace mimi::cli
