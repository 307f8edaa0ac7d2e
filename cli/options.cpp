#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <utility>

#include "cli/help.h"
#include "cli/level_set.h"
#include "cli/option_parsers.h"
#include "cli/suggestion.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr const char* kExamples =
    "  mimi roundtrip speech.wav out.wav     hear what the codec does\n"
    "  mimi encode speech.flac               make speech.mimi\n"
    "  mimi decode speech.mimi               make speech.wav\n"
    "  mimi encode *.wav --out-dir tokens    make tokens/NAME.mimi of each\n"
    "  mimi COMMAND --help                   the options of a command\n";
constexpr const char* kEncodeExamples =
    "  mimi encode speech.flac               make speech.mimi, 8 levels, 1.1 kbps\n"
    "  mimi encode -l 16 *.wav --out-dir t   make t/NAME.mimi of each, 2.2 kbps\n"
    "  mimi encode --channels keep duo.wav   code each channel on its own\n"
    "  arecord -t raw -f S16_LE -r 16000 | mimi encode --raw s16 --rate 16000 - > live.mimi\n";
constexpr const char* kDecodeExamples =
    "  mimi decode speech.mimi               make speech.wav, 16 bits, 24 kHz\n"
    "  mimi decode speech.mimi -o out.flac --rate 48000\n"
    "  mimi decode -l 0,3-5 speech.mimi -o some.wav   hear levels 0, 3, 4 and 5 alone\n"
    "  mimi decode - --raw s16 < live.mimi | aplay -t raw -f S16_LE -r 24000\n";
constexpr const char* kRoundtripExamples =
    "  mimi roundtrip speech.flac out.wav\n"
    "  mimi roundtrip speech.flac again.wav --plot again.png\n"
    "  mimi roundtrip -l 1 speech.flac       make speech.mimi.wav of the first level alone\n";
constexpr const char* kInfoExamples =
    "  mimi info speech.mimi\n"
    "  mimi info --json *.mimi | jq .frames\n";

constexpr std::array kModelOptions = {"--model", "--threads", "--dtype", "--isa"};
constexpr std::array kModelFreeCommands = {"info", "merge",  "test",    "cut",
                                           "cat",  "repair", "convert", "convert-model"};
constexpr int kMostLevels = kMaxTokenLevels;

// All that a command line can set.
struct Parsed {
  CommonOptions common;
  EncodeOptions encode;
  DecodeOptions decode;
  RoundtripOptions roundtrip;
  InfoOptions info;
  Command chosen;
};

auto raw_formats() {
  return one_of<SampleFormat>({{"s16", SampleFormat::kS16}, {"f32", SampleFormat::kF32}});
}

void add_common(CLI::App& app, CommonOptions& common) {
  add_path(app, "--model", "MODEL", common.model,
           "folder, .safetensors file or name such as kyutai/mimi (default: the built-in one)");
  add_number(app, "--threads", common.threads, 1, kMostThreads,
             "threads (default: MIMI_THREADS, else what the machine grants)");
  add_parsed(app, "--dtype", "DTYPE", common.dtype,
             "numbers that are multiplied: f32 (default, but for what convert-model made), bf16, "
             "int8, or auto: bf16 where that is faster; in bench also all",
             one_of<DtypeChoice>({{"f32", DtypeChoice::kF32},
                                  {"bf16", DtypeChoice::kBf16},
                                  {"int8", DtypeChoice::kInt8},
                                  {"auto", DtypeChoice::kAuto},
                                  {"all", DtypeChoice::kAll}}));
  add_path(app, "--isa", "ISA", common.isa, "instruction set (default: MIMI_ISA, else the best)");
  for (const char* name : kModelOptions) app.get_option(name)->group(kModelGroup);
  app.add_flag("-q,--quiet", common.quiet, "print errors only");
  // Thrown before a command's own arguments are required, and after all options above were read.
  app.add_flag_callback(
      "-V,--version", [] { throw CLI::CallForVersion("", 0); },
      "print the version, the model and instruction sets");
}

void add_source(CLI::App& app, SourceOptions& source) {
  add_parsed(app, "--channels", "WHICH", source.channels,
             "mix (default), left, right, a number from 1, or keep: each on its own",
             parse_channels);
  add_number(app, "--raw-channels", source.raw_format.channels, 1, 256,
             "channels of headerless input (default 1)");
}

void add_encode(CLI::App& app, Parsed& parsed) {
  EncodeOptions& options = parsed.encode;
  CLI::App* command = app.add_subcommand("encode", "Turn recordings into tokens.");
  command->footer(kEncodeExamples);
  naming_something(command->add_option("IN", options.inputs))->required();
  add_output(*command, options.output, "output (default: IN with the suffix .mimi; - for stdin's)");
  add_out_dir(*command, options.output);
  add_number(*command, "-l,--levels", options.levels, 1, kMostLevels,
             "codebooks per frame, 137.5 bit/s each (default 8)");
  add_source(*command, options.source);
  CLI::Option* raw =
      add_parsed(*command, "--raw", "FORMAT", options.source.raw_format.sample,
                 "input is headerless PCM: s16 or f32, little-endian", raw_formats());
  CLI::Option* rate = add_rate(*command, options.source.raw_format.rate_hz,
                               "sample rate of headerless input (default 24000)");
  add_resampler(*command, options.source.resampler);
  add_window(*command, options.window);
  add_number(*command, "--block-frames", options.block_frames, 1, kMaxBlockFrames,
             "frames per block (default 125 into a file, 1 into a pipe)");
  add_range(*command, options.range);
  add_warm_up(*command, options.warm_up_s);
  command->add_flag("--verify", options.verify, "read back what was written and compare");
  rate->needs(raw);
  command->get_option("--raw-channels")->needs(raw);
  command->final_callback([&parsed, raw] {
    parsed.encode.source.raw = raw->count() > 0;
    check_range(parsed.encode.range);
    parsed.chosen = [options = parsed.encode, common = parsed.common] {
      return run_encode(options, common);
    };
  });
}

// --format and --raw of what is written.
CLI::Option* add_sample_formats(CLI::App& app, SinkOptions& sink) {
  CLI::Option* format = add_sample_format(
      app, sink.sample,
      "samples: s16 (default), s24 or f32; .flac and .ogg go by the suffix of FILE");
  CLI::Option* raw = add_parsed(app, "--raw", "FORMAT", sink.sample,
                                "headerless PCM: s16 or f32, little-endian", raw_formats());
  raw->excludes(format);
  return raw;
}

void finish_sink(const CLI::App& command, SinkOptions& sink) {
  sink.raw = command.count("--raw") > 0;
  sink.sample_given = command.count("--format") > 0;
}

void add_decode(CLI::App& app, Parsed& parsed) {
  DecodeOptions& options = parsed.decode;
  CLI::App* command = app.add_subcommand("decode", "Turn tokens into sound.");
  command->footer(kDecodeExamples);
  naming_something(command->add_option("IN", options.inputs))->required();
  add_output(*command, options.output,
             "output (default: IN with the suffix .wav, with --raw .raw; - for stdin's)");
  add_out_dir(*command, options.output);
  add_parsed(*command, "-l,--levels", "WHICH", options.levels,
             "the first N (4), or a set counted from 0 (0,3-5; 3-3 is one) (default: all)",
             [](const std::string& text) { return parse_levels(text); });
  add_rate(*command, options.sink.rate_hz, "sample rate of the output (default 24000)");
  add_sample_formats(*command, options.sink);
  add_resampler(*command, options.sink.resampler);
  add_parsed(*command, "--window", "RULE", options.window,
             "offline, moshi-streaming or rust (default: the file's)", parse_window_rule);
  add_range(*command, options.range);
  add_warm_up(*command, options.warm_up_s);
  command->final_callback([&parsed, command] {
    finish_sink(*command, parsed.decode.sink);
    check_range(parsed.decode.range);
    parsed.chosen = [options = parsed.decode, common = parsed.common] {
      return run_decode(options, common);
    };
  });
}

void add_roundtrip(CLI::App& app, Parsed& parsed) {
  RoundtripOptions& options = parsed.roundtrip;
  CLI::App* command =
      app.add_subcommand("roundtrip", "Encode and decode, to hear what the codec does.");
  command->footer(kRoundtripExamples);
  naming_something(command->add_option("IN", options.input))->required();
  CLI::Option* second = naming_something(command->add_option("OUT", options.output.path));
  add_output(*command, options.output,
             "output (default: IN with the suffix .mimi.wav, with --raw .mimi.raw; - for stdin's)");
  second->excludes(command->get_option("--output"));
  add_number(*command, "-l,--levels", options.levels, 1, kMostLevels,
             "codebooks per frame, 137.5 bit/s each (default 8)");
  add_source(*command, options.source);
  add_rate(*command, options.sink.rate_hz,
           "sample rate of the output, with --raw of both (default 24000)");
  CLI::Option* raw = add_sample_formats(*command, options.sink);
  command->get_option("--raw-channels")->needs(raw);
  add_resampler(*command, options.source.resampler);
  add_window(*command, options.window);
  add_path(*command, "--plot", "FILE", options.plot,
           "draw the first 10 seconds, as plot does, into this .png or .svg");
  command->final_callback([&parsed, command] {
    RoundtripOptions& given = parsed.roundtrip;
    finish_sink(*command, given.sink);
    given.sink.resampler = given.source.resampler;
    given.source.raw = given.sink.raw;
    given.source.raw_format.sample = given.sink.sample;
    if (given.sink.rate_hz != 0) given.source.raw_format.rate_hz = given.sink.rate_hz;
    parsed.chosen = [options = given, common = parsed.common] {
      return run_roundtrip(options, common);
    };
  });
}

void add_info(CLI::App& app, Parsed& parsed) {
  CLI::App* command =
      app.add_subcommand("info", "Print what token files say of themselves and verify them.");
  command->footer(kInfoExamples);
  naming_something(command->add_option("IN", parsed.info.inputs))->required();
  command->add_flag("--json", parsed.info.json, "one JSON object per file, each on its own line");
  command->final_callback(
      [&parsed] { parsed.chosen = [options = parsed.info] { return run_info(options); }; });
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return kExitDone;
}

// Of `app` and, where one was chosen, its command.
std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  const auto add = [&](const CLI::App& from) {
    for (const CLI::Option* option : from.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  };
  for (const CLI::App* command : app.get_subcommands()) add(*command);
  add(app);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::string unknown_name(const std::string& kind, const std::string& word,
                         const std::vector<std::string>& names) {
  const std::string nearest = nearest_name(word.substr(0, word.find('=')), names);
  return "unknown " + kind + " '" + word + "'" +
         (nearest.empty() ? "" : "; did you mean '" + nearest + "'?");
}

// Where they would do nothing.
void refuse_model_options(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  if (chosen.empty() || chosen.front()->get_group() != kWithoutModel) return;
  const CLI::App& command = *chosen.front();
  for (const char* name : kModelOptions) {
    if (app.count(name) == 0) continue;
    const bool has_own = command.get_option_no_throw(name) != nullptr;
    throw UsageError(std::string(name) + ": " + command.get_name() + " computes with no model" +
                     (has_own ? "; its own " + std::string(name) + " goes behind its name" : "") +
                     " (see mimi " + command.get_name() + " --help)");
  }
}

// CLI11's messages say what is wrong, but not where to read on.
[[noreturn]] void throw_usage(const CLI::App& app, const CLI::Error& error) {
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "mimi" : "mimi " + chosen.front()->get_name();
  std::string cause = error.what();
  const std::vector<std::string> left = app.remaining(true);
  // What is not known may have taken the place of what is missed.
  const bool is_about_words = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                              dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (is_about_words && !left.empty()) {
    const std::string& word = left.front();
    cause = word.starts_with('-') ? unknown_name("option", word, long_options(app))
            : chosen.empty()      ? unknown_name("command", word, command_names(app))
                                  : "unexpected argument '" + word + "'";
  }
  throw UsageError(cause + " (see " + command + " --help)");
}

// `mimi help COMMAND` is `mimi COMMAND --help`.
std::vector<std::string> help_as_option(const CLI::App& app, std::vector<std::string> arguments) {
  if (arguments.empty() || arguments.front() != "help") return arguments;
  arguments.erase(arguments.begin());
  const std::vector<std::string> names = command_names(app);
  if (!arguments.empty() &&
      std::find(names.begin(), names.end(), arguments.front()) == names.end()) {
    throw UsageError(unknown_name("command", arguments.front(), names) + " (see mimi --help)");
  }
  arguments.emplace_back("--help");
  return arguments;
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  auto parsed = std::make_shared<Parsed>();
  CLI::App app("A neural speech codec: speech to 1.1 kbps of tokens and back.", "mimi");
  app.footer(kExamples);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_help_flag("-h,--help", "print this help");
  add_common(app, parsed->common);
  app.fallthrough();
  app.require_subcommand(0, 1);
  add_encode(app, *parsed);
  add_decode(app, *parsed);
  add_roundtrip(app, *parsed);
  add_bench(app, parsed->common, parsed->chosen);
  add_eval(app, parsed->common, parsed->chosen);
  add_plot(app, parsed->common, parsed->chosen);
  add_info(app, *parsed);
  add_dataset_tools(app, parsed->common, parsed->chosen);
  add_token_tools(app, parsed->common, parsed->chosen);
  add_convert_model(app, parsed->chosen);
  for (const char* name : kModelFreeCommands) app.get_subcommand(name)->group(kWithoutModel);
  try {
    auto arguments = help_as_option(app, {argv + std::min(argc, 1), argv + argc});
    for (std::string& argument : arguments) {
      // CLI11 would take these apart at their commas.
      if (argument.starts_with('[') && argument.ends_with(']')) argument.insert(0, "./");
    }
    std::reverse(arguments.begin(), arguments.end());  // which is how CLI11 takes them
    app.parse(std::move(arguments));
    refuse_model_options(app);
  } catch (const CLI::CallForHelp&) {
    const auto commands = app.get_subcommands();
    return [text = help_text(commands.empty() ? app : *commands.front())] { return print(text); };
  } catch (const CLI::CallForVersion&) {
    return [common = parsed->common] { return run_version(common); };
  } catch (const CLI::Error& error) {
    refuse_model_options(app);
    throw_usage(app, error);
  }
  if (parsed->chosen) return parsed->chosen;
  if (argc > 1) throw UsageError("no command given (see mimi --help)");
  return [text = help_text(app)] {
    std::fputs(text.c_str(), stderr);
    return kExitUsage;
  };
}

}  // namespace mimi::cli
