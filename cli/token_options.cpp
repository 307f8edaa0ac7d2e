// The options of the commands that work on token files alone.
#include <memory>

#include "cli/commands.h"
#include "cli/option_parsers.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr const char* kTestExamples =
    "  mimi test *.mimi                      one line a file; exit code 1 if any is damaged\n";
constexpr const char* kCutExamples =
    "  mimi cut --from 1:00 --to 2:00 talk.mimi      make talk.cut.mimi, the second minute\n"
    "  mimi cut --levels 4 talk.mimi -o small.mimi   the first 4 levels of all of it\n"
    "  mimi cut --from 90 --lead-in 0 talk.mimi      no lead-in: smaller, begins less exactly\n";
constexpr const char* kCatExamples = "  mimi cat part1.mimi part2.mimi -o whole.mimi\n";

void add_test(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* command = app.add_subcommand("test", "Verify every checksum of token files.");
  command->footer(kTestExamples);
  command->add_option("IN", options->inputs)->required();
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_test(options, common); };
  });
}

void add_cut(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<CutOptions>();
  CLI::App* command = app.add_subcommand("cut", "Take a part of token files.");
  command->footer(kCutExamples);
  command->add_option("IN", options->inputs)->required();
  add_output(*command, options->output,
             "output (default: IN with the suffix .cut.mimi; - for stdin's)");
  add_out_dir(*command, options->output);
  add_range(*command, options->range);
  add_number(*command, "-l,--levels", options->levels, 1, kMaxTokenLevels,
             "keep the first N levels (default: all)");
  add_seconds(*command, "--lead-in", options->lead_in_s,
              "what to keep before the part, so that it decodes to the bits of the whole "
              "(default 82)");
  command->final_callback([options, &chosen] {
    check_range(options->range);
    chosen = [options = *options] { return run_cut(options); };
  });
}

void add_cat(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<CatOptions>();
  options->output.path = "-";
  CLI::App* command = app.add_subcommand("cat", "Join token files of one model.");
  command->footer(kCatExamples);
  command->add_option("IN", options->inputs)->required();
  add_output(*command, options->output, "output (default: stdout)");
  command->final_callback(
      [options, &chosen] { chosen = [options = *options] { return run_cat(options); }; });
}

}  // namespace

void add_token_tools(CLI::App& app, const CommonOptions& common, Command& chosen) {
  add_test(app, common, chosen);
  add_cut(app, chosen);
  add_cat(app, chosen);
}

}  // namespace mimi::cli
