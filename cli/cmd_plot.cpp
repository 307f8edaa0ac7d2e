// mimi plot: pictures of what the codec makes of recordings.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cli/audio_input.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/option_parsers.h"
#include "cli/plot/plotter.h"
#include "cli/progress.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr const char* kExamples =
    "  mimi plot speech.flac                 make speech.png of the first 10 seconds\n"
    "  mimi plot --from 1:00 --to 1:05 talk.wav -o talk.svg\n"
    "  mimi plot -l 8 *.wav --out-dir pictures\n";

struct PlotOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
  SourceOptions source;
  int levels = 0;  // 0: all
  Window window = Window::kOffline;
  TimeRange range;
};

void plot(const Job& job, const Model& model, const PlotOptions& options,
          const CommonOptions& common) {
  AudioInput input(job.input, options.source, model.info().sample_rate);
  Plotter plotter(model,
                  {.name = input.name(),
                   .place = {.path = job.output, .force = options.output.force},
                   .levels = options.levels,
                   .range = options.range},
                  stream_options(options.window, common));
  Progress progress({.name = input.name(), .total_s = {}, .quiet = common.quiet});
  std::vector<float> samples;
  double seconds = 0;
  while (!plotter.is_done() && input.read(samples)) {
    naming(input.name(), [&] { plotter.push(samples); });
    seconds += static_cast<double>(samples.size()) / model.info().sample_rate;
    progress.update(seconds);
  }
  plotter.draw();
  plotter.commit();
}

int run_plot(const PlotOptions& options, const CommonOptions& common) {
  const std::vector<Job> jobs = plan_jobs(options.inputs, options.output, ".png");
  for (const Job& job : jobs) picture_format(job.output);
  const Model model = open_model(common, {.use = ModelUse::kBoth, .levels = options.levels});
  PlotOptions resolved = options;
  resolved.levels =
      options.levels == 0 ? model.info().levels : encoded_levels(options.levels, model);
  return run_each(jobs, [&](const Job& job) { plot(job, model, resolved, common); });
}

}  // namespace

void add_plot(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<PlotOptions>();
  CLI::App* command = app.add_subcommand("plot", "Draw what the codec makes of recordings.");
  command->footer(kExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
  add_output(*command, options->output,
             "picture, .png or .svg (default: IN with the suffix .png; - for stdin's)");
  add_out_dir(*command, options->output);
  add_number(*command, "-l,--levels", options->levels, 1, kMaxTokenLevels,
             "codebooks per frame (default: all that the model has)");
  add_parsed(*command, "--channels", "WHICH", options->source.channels,
             "mix (default), left, right or a number from 1", parse_one_channel);
  add_resampler(*command, options->source.resampler);
  add_window(*command, options->window);
  add_range(*command, options->range);
  command->get_option("--to")->description("where to end (default: 10 s after --from)");
  command->final_callback([options, &common, &chosen] {
    check_range(options->range);
    check_plot_range(options->range);
    chosen = [options = *options, common] { return run_plot(options, common); };
  });
}

}  // namespace mimi::cli
