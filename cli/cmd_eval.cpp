// mimi eval: how good the codec is on recordings, by measures that need no model of hearing.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/eval/report.h"
#include "cli/jobs.h"
#include "cli/option_parsers.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr const char* kExamples =
    "  mimi eval *.flac                      1, 2, 4 ... levels, as many as the model has\n"
    "  mimi eval --levels 8 --json *.wav | jq .mean\n"
    "  mimi eval --model kyutai/mimi speech.wav\n";
constexpr const char* kWarning =
    "these figures tell how close the waveform and spectrum are, and misrank generative codecs, "
    "whose sound may be good and other: listen, or use measures that model hearing, as "
    "scripts/evaluate.py in the source does";

// 1, 2, 4 and so on, and all.
std::vector<int> doublings(int all) {
  std::vector<int> counts;
  for (int count = 1; count < all; count *= 2) counts.push_back(count);
  counts.push_back(all);
  return counts;
}

std::vector<int> parse_counts(const std::string& text) {
  std::vector<int> counts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    int count = 0;
    const auto [last, error] = std::from_chars(text.data() + begin, text.data() + end, count);
    if (error != std::errc() || last != text.data() + end || count < 1 || count > kMaxTokenLevels) {
      throw CLI::ValidationError("'" + text + "' is not a list of numbers from 1 to " +
                                 std::to_string(kMaxTokenLevels) + ", such as 1,4,8");
    }
    counts.push_back(count);
    begin = end + 1;
  }
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

int run_eval(const EvalOptions& options, const CommonOptions& common) {
  const std::vector<Job> jobs = reading_jobs(options.inputs);
  EvalOptions resolved = options;
  const int most = options.levels.empty() ? 0 : options.levels.back();
  const Model model = open_model(common, {.use = ModelUse::kBoth, .levels = most});
  if (resolved.levels.empty()) resolved.levels = doublings(model.info().levels);
  EvalReport report = {
      .model = model.info(),
      .recordings = {},
      .codes = {encoded_levels(resolved.levels.back(), model), model.info().codebook_size}};
  const int exit_code = run_each(jobs, [&](const Job& job) {
    report.recordings.push_back(evaluate(job.input, model, resolved, common, report.codes));
  });
  if (report.recordings.empty()) return exit_code;
  if (options.json) {
    std::printf("%s\n", eval_json(report).c_str());
  } else {
    print_eval_table(report);
  }
  if (!common.quiet) std::fprintf(stderr, "mimi: %s\n", kWarning);
  return exit_code;
}

}  // namespace

void add_eval(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command =
      app.add_subcommand("eval", "Measure how far decoded recordings are from the originals.");
  command->footer(kExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
  add_parsed(*command, "-l,--levels", "LIST", options->levels,
             "numbers of levels to decode, such as 1,4,8 (default: 1, 2, 4 ... all)", parse_counts);
  add_parsed(*command, "--channels", "WHICH", options->source.channels,
             "mix (default), left, right or a number from 1", parse_one_channel);
  add_resampler(*command, options->source.resampler);
  add_window(*command, options->window);
  command->add_flag("--json", options->json, "print one JSON object instead of a table");
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_eval(options, common); };
  });
}

}  // namespace mimi::cli
