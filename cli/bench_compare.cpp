#include "cli/bench_compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/byte_reader.h"
#include "cli/json_text.h"
#include "cli/named_error.h"
#include "cli/printable.h"

namespace mimi::cli {
namespace {

struct Figure {
  std::string name, unit;
  double value;
  bool more_is_better;
};

Json list_of(const Json& report, const char* key) { return report.value(key, Json::array()); }

std::string who(const Json& line) {
  return line.at("direction").get<std::string>() + ", " + line.at("dtype").get<std::string>() +
         ", threads " + std::to_string(line.at("threads").get<int>());
}

// The 99th percentiles are left out: they tell more of what else the machine did.
std::vector<Figure> figures_of(const Json& report) {
  std::vector<Figure> figures;
  for (const Json& speed : list_of(report, "speeds")) {
    figures.push_back({who(speed), "x", speed.at("best_times_real_time"), true});
  }
  for (const Json& latency : list_of(report, "latencies")) {
    figures.push_back({who(latency) + ", a frame", "ms", latency.at("median_ms"), false});
  }
  for (const Json& together : list_of(report, "streams")) {
    figures.push_back({who(together) + ", " + together.at("streams").dump() + " streams", "x",
                       together.at("times_real_time"), true});
  }
  for (const Json& kernel : list_of(report, "kernels")) {
    const auto name = kernel.at("kernel").get<std::string>() + ", " +
                      kernel.at("isa").get<std::string>() + ", " +
                      kernel.at("shape").get<std::string>();
    figures.push_back({name, "us", kernel.at("microseconds"), false});
  }
  for (const Json& load : list_of(report, "loads")) {
    figures.push_back(
        {"load, " + load.at("dtype").get<std::string>(), "s", load.at("seconds"), false});
  }
  // With several dtypes it is that of the largest one.
  if (list_of(report, "loads").size() == 1) {
    figures.push_back({"peak memory, " + report["loads"][0]["dtype"].get<std::string>(), "MB",
                       report.at("peak_memory_mb"), false});
  }
  return figures;
}

void require_same(const Json& before, const Json& now, const char* key, const std::string& path) {
  const Json old = before.value(key, Json()), current = now.value(key, Json());
  if (old == current) return;
  throw Error(path + ": was measured with '" + key + "' " + printable_json(old) +
              ", this run with " + printable_json(current));
}

std::string read_text(const std::string& path) {
  constexpr std::size_t kMostBytes = 1 << 24;  // a hundred times what all kernels take
  ByteReader file(path);
  std::vector<std::uint8_t> bytes(kMostBytes + 1);
  bytes.resize(file.read_fully(bytes));
  if (bytes.empty()) throw Error("it is empty");
  if (bytes.size() > kMostBytes) throw Error("it is too long");
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Json read_bench_json(const std::string& path) {
  Json report;
  try {
    report = parse_json(read_text(path));
    if (report.is_discarded()) throw Error("it is not JSON");
    if (!report.contains("cpu")) throw Error("it has no 'cpu'");
    for (const Figure& figure : figures_of(report)) {
      if (!(figure.value > 0)) throw Error("'" + figure.name + "' is not above 0");
    }
  } catch (const NamedError&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(path + ": is not what 'mimi bench --json' prints: " + error.what());
  }
  return report;
}

void require_same_subject(const Json& before, const Json& now, const std::string& path) {
  for (const char* key : {"model", "levels"}) require_same(before, now, key, path);
}

std::vector<ComparedFigure> compare_bench_json(const Json& before, const Json& now,
                                               const std::string& path) {
  const std::vector<Figure> old = figures_of(before);
  std::vector<ComparedFigure> compared;
  for (const Figure& figure : figures_of(now)) {
    const auto same = std::find_if(old.begin(), old.end(),
                                   [&](const Figure& f) { return f.name == figure.name; });
    if (same == old.end()) continue;
    const double change = figure.value / same->value;
    compared.push_back({figure.name, figure.unit, same->value, figure.value,
                        figure.more_is_better ? change : 1 / change});
  }
  if (compared.empty()) throw Error(path + ": has no figure in common with this run");
  return compared;
}

int count_fallen(const std::vector<ComparedFigure>& figures, double fall_percent) {
  return static_cast<int>(std::count_if(
      figures.begin(), figures.end(),
      [&](const ComparedFigure& figure) { return figure.ratio < 1 - fall_percent / 100; }));
}

std::vector<std::string> other_conditions(const Json& before, const Json& now) {
  std::vector<std::string> lines;
  for (const char* const key : {"cpu", "isa", "recording", "audio_seconds"}) {
    const Json old = before.value(key, Json()), current = now.value(key, Json());
    if (old == current) continue;
    lines.push_back(std::string("'") + key + "' was " + printable_json(old) + ", and is " +
                    printable_json(current) + " now");
  }
  return lines;
}

void print_comparison(const std::vector<ComparedFigure>& figures, double fall_percent) {
  std::printf("\n    before        now         as good as before\n");
  for (const ComparedFigure& figure : figures) {
    std::printf("%10.4g %10.4g %-3s %7.3f  %s%s\n", figure.before, figure.now, figure.unit.c_str(),
                figure.ratio, figure.name.c_str(),
                count_fallen({figure}, fall_percent) > 0 ? "  FELL" : "");
  }
}

Json comparison_json(const std::vector<ComparedFigure>& figures) {
  Json lines = Json::array();
  for (const ComparedFigure& figure : figures) {
    lines.push_back({{"figure", figure.name},
                     {"unit", figure.unit},
                     {"before", figure.before},
                     {"now", figure.now},
                     {"ratio", figure.ratio}});
  }
  return lines;
}

}  // namespace mimi::cli
