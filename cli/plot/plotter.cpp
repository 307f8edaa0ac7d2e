#include "cli/plot/plotter.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/named_error.h"
#include "cli/plot/figure.h"
#include "core/quote.h"
#include "core/utf8.h"

namespace mimi::cli {
namespace {

std::int64_t from_sample(const TimeRange& range, int rate_hz) {
  return static_cast<std::int64_t>(sample_at(range.from_s.value_or(0), rate_hz));
}

std::int64_t to_sample(const TimeRange& range, int rate_hz) {
  const double to_s = range.to_s.value_or(range.from_s.value_or(0) + kPlotSeconds);
  return static_cast<std::int64_t>(sample_at(to_s, rate_hz));
}

// As text that any program can show.
std::string shown_name(const std::string& name) {
  const bool has_control =
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 127; });
  return is_utf8(name) && !has_control ? name : quote(name);
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", seconds);
  return text;
}

}  // namespace

PictureFormat picture_format(const std::string& path) {
  const std::string suffix = std::filesystem::path(path).extension();
  if (path == "-" || suffix == ".png") return PictureFormat::kPng;
  if (suffix == ".svg") return PictureFormat::kSvg;
  throw UsageError(path + ": a picture is .png or .svg by its suffix");
}

void check_plot_range(const TimeRange& range) {
  if (range.to_s && *range.to_s - range.from_s.value_or(0) > kMostPlotSeconds) {
    throw UsageError("--to: a picture shows at most " +
                     std::to_string(static_cast<int>(kMostPlotSeconds)) + " seconds");
  }
}

Plotter::Plotter(const Model& model, const PlotRequest& request, const StreamOptions& stream)
    : name_(request.name),
      model_name_(model.info().name),
      to_s_(request.range.to_s),
      format_(picture_format(request.place.path)),
      file_(request.place.path, request.place.force),
      observer_(model, request.levels, stream, from_sample(request.range, model.info().sample_rate),
                to_sample(request.range, model.info().sample_rate)) {}

void Plotter::push(std::span<const float> samples) {
  if (!is_done()) observer_.push(samples);
}

void Plotter::draw() {
  const Observation seen = observer_.finish();
  const double end_s =
      static_cast<double>(seen.from_sample + static_cast<std::int64_t>(seen.original.size())) /
      seen.rate_hz;
  if (seen.original.empty() || (to_s_ && end_s < *to_s_ - 1.0 / seen.rate_hz)) {
    throw NamedError(name_, "ends before the part that is to be drawn does");
  }
  file_.write(naming(file_.name(), [&] { return draw_figure(seen, title(seen), format_); }));
}

std::string Plotter::title(const Observation& seen) const {
  const double begin_s = static_cast<double>(seen.from_sample) / seen.rate_hz;
  const double end_s = begin_s + static_cast<double>(seen.original.size()) / seen.rate_hz;
  return shown_name(std::filesystem::path(name_).filename()) + ", " + seconds_text(begin_s) +
         " to " + seconds_text(end_s) + " s; model " + shown_name(model_name_);
}

}  // namespace mimi::cli
