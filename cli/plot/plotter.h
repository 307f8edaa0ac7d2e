// A picture of a part of a recording, made as the recording goes by.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "cli/audio_sink.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/plot/canvas.h"
#include "cli/plot/observation.h"

namespace mimi::cli {

constexpr double kPlotSeconds = 10;      // where --to does not say it
constexpr double kMostPlotSeconds = 60;  // a picture has no room for more

// By the suffix; standard output ("-") gets PNG. Throws UsageError.
PictureFormat picture_format(const std::string& path);
// Throws UsageError where the part is too long for a picture.
void check_plot_range(const TimeRange& range);

struct PlotRequest {
  std::string name;  // of the recording, for the title
  OutputPlace place;
  int levels = 0;  // the first so many are shown
  TimeRange range;
};

class Plotter {
 public:
  Plotter(const Model& model, const PlotRequest& request, const StreamOptions& stream);

  // Nothing more is needed.
  bool is_done() const { return observer_.is_done(); }
  // The recording from its beginning, one channel at the codec's rate.
  void push(std::span<const float> samples);
  // Draws the picture. Throws mimi::Error, also where the recording ends before the part.
  void draw();
  // Puts what draw() made into its place. Throws mimi::Error.
  void commit() { file_.commit(); }

 private:
  std::string title(const Observation& seen) const;

  std::string name_, model_name_;
  std::optional<double> to_s_;
  PictureFormat format_;
  OutputFile file_;
  Observer observer_;
};

}  // namespace mimi::cli
