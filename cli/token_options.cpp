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
    "  mimi cut --from 90 --lead-in 0 talk.mimi -o end.mimi   no lead-in: smaller, less exact\n";
constexpr const char* kCatExamples = "  mimi cat part1.mimi part2.mimi -o whole.mimi\n";
constexpr const char* kRepairExamples =
    "  mimi repair broken.mimi               make broken.repaired.mimi of what is whole\n";
constexpr const char* kConvertExamples =
    "  mimi convert speech.mimi -o speech.npy        uint16 [levels, frames]\n"
    "  mimi convert --as safetensors *.mimi          all that the files say goes along\n"
    "  mimi convert --as mimi codes.npy              from what another program made\n";

auto table_formats() {
  return one_of<std::string>({{"mimi", "mimi"},
                              {"npy", "npy"},
                              {"safetensors", "safetensors"},
                              {"moshi", "moshi"},
                              {"codec", "codec"},
                              {"text", "text"}});
}

auto code_types() {
  return one_of<CodeType>({{"uint16", CodeType::kUint16},
                           {"int16", CodeType::kInt16},
                           {"int32", CodeType::kInt32},
                           {"int64", CodeType::kInt64}});
}

void add_test(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* command = app.add_subcommand("test", "Verify every checksum of token files.");
  command->footer(kTestExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_test(options, common); };
  });
}

void add_cut(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<CutOptions>();
  CLI::App* command = app.add_subcommand("cut", "Take a part of token files.");
  command->footer(kCutExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
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
  naming_something(command->add_option("IN", options->inputs))->required();
  add_output(*command, options->output, "output (default: stdout)");
  command->final_callback(
      [options, &chosen] { chosen = [options = *options] { return run_cat(options); }; });
}

void add_repair(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<RepairOptions>();
  CLI::App* command =
      app.add_subcommand("repair", "Save every whole block of damaged token files.");
  command->footer(kRepairExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
  add_output(*command, options->output,
             "output (default: IN with the suffix .repaired.mimi; - for stdin's)");
  add_out_dir(*command, options->output);
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_repair(options, common); };
  });
}

void add_convert(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      app.add_subcommand("convert", "Turn token files into other formats, and back.");
  command->footer(kConvertExamples);
  naming_something(command->add_option("IN", options->inputs))->required();
  add_output(*command, options->output,
             "output (default: IN with the format's suffix; - for stdin's)");
  add_out_dir(*command, options->output);
  add_parsed(*command, "--as", "FORMAT", options->format,
             "mimi, npy, safetensors, moshi (moshi.cpp's .mimi), codec (codec.cpp's .npy) or text "
             "(default: by the suffix of FILE)",
             table_formats());
  add_parsed(*command, "--dtype", "TYPE", options->type,
             "of npy and safetensors: uint16, int16, int32 or int64", code_types());
  add_path(*command, "--like", "FILE", options->like,
           "a .mimi file with the model and rates of an input that does not say them");
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_convert(options, common); };
  });
}

}  // namespace

void add_token_tools(CLI::App& app, const CommonOptions& common, Command& chosen) {
  add_test(app, common, chosen);
  add_cut(app, chosen);
  add_cat(app, chosen);
  add_repair(app, common, chosen);
  add_convert(app, common, chosen);
}

}  // namespace mimi::cli
