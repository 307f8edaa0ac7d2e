// The options of the commands that make datasets of tokens and work on them.
#include <charconv>
#include <memory>
#include <random>

#include "cli/dataset/tokenize.h"
#include "cli/option_parsers.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

constexpr const char* kTokenizeExamples =
    "  mimi tokenize corpus --out tokens                tokens/ID.mimi of each; its path for ID\n"
    "  mimi tokenize train.jsonl --out shards --as wds  WebDataset shards of 1000 recordings\n"
    "  find /data -name '*.flac' | mimi tokenize - --out arrays --as npy\n"
    "  mimi tokenize corpus --out tokens --shard 3/8    every eighth shard, from the third on\n";
constexpr const char* kMergeExamples = "  mimi merge tokens\n";
constexpr const char* kDetokenizeExamples =
    "  mimi detokenize tokens --out audio               audio/ID.wav of each recording\n"
    "  mimi detokenize tokens --out audio --as flac --rate 16000\n";
constexpr const char* kVerifyExamples =
    "  mimi verify tokens                    every checksum, count and range\n"
    "  mimi verify --resample 0.01 tokens    and one recording in a hundred encoded again\n";

Form parse_form_option(const std::string& text) {
  const std::optional<Form> form = parse_form(text);
  if (form && !is_sound(*form)) return *form;
  throw CLI::ValidationError("'" + text + "' is not one of mimi, npy, wds, safetensors, parquet");
}

Form parse_sound_form(const std::string& text) {
  const std::optional<Form> form = parse_form(text);
  if (form && is_sound(*form)) return *form;
  throw CLI::ValidationError("'" + text + "' is not one of wav, flac, ogg");
}

ShardShare parse_share(const std::string& text) {
  const char* end = text.data() + text.size();
  ShardShare share;
  const auto index = std::from_chars(text.data(), end, share.index);
  if (index.ec == std::errc() && index.ptr != end && *index.ptr == '/') {
    const auto of = std::from_chars(index.ptr + 1, end, share.of);
    if (of.ec == std::errc() && of.ptr == end && share.index >= 1 && share.index <= share.of &&
        share.of <= kMostShards) {
      --share.index;
      return share;
    }
  }
  throw CLI::ValidationError("'" + text + "' is not a share such as 1/8, of 1/8 to 8/8, and of " +
                             std::to_string(kMostShards) + " at most");
}

std::uint64_t parse_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error == std::errc() && end == text.data() + text.size()) return seed;
  throw CLI::ValidationError("'" + text + "' is not a number from 0");
}

void add_inputs(CLI::App& app, InputOptions& inputs) {
  naming_something(app.add_option("IN", inputs.inputs));
  naming_something(
      app.add_option("--list", inputs.list, "file with an input in each line; - for stdin"))
      ->type_name("FILE");
  naming_something(
      app.add_option(
          "--include", inputs.include,
          "which files of folders, such as '*.flac' (default: by the suffixes of sound)"))
      ->type_name("PATTERN")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  naming_something(app.add_option("--root", inputs.root,
                                  "where relative paths of a manifest begin (default: its folder)"))
      ->type_name("DIR");
}

void add_work(CLI::App& app, ShardShare& share, bool& strict, bool& dry_run, bool& json_progress) {
  add_parsed(app, "--shard", "I/N", share, "take the I-th of N shares of the shards (default 1/1)",
             parse_share);
  app.add_flag("--strict", strict, "stop at the first recording that fails");
  app.add_flag("--dry-run", dry_run, "say what would be done, write nothing");
  app.add_flag("--json-progress", json_progress,
               "a JSON object each second, and a summary, on stdout");
}

void add_tokenize(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand(
      "tokenize", "Turn folders, lists, manifests and tar files of recordings into a dataset.");
  command->footer(kTokenizeExamples);
  add_inputs(*command, options->inputs);
  add_path(*command, "--out", "DIR", options->out, "folder of the dataset")->required();
  add_parsed(*command, "--as", "FORM", options->form,
             "mimi (default), npy, wds, safetensors or parquet", parse_form_option);
  add_number(*command, "-l,--levels", options->levels, 1, kMaxTokenLevels,
             "codebooks per frame (default 8)");
  add_number(*command, "--shard-size", options->shard_size, 1, 1000000,
             "rows in a shard, failed ones included (default 1000)");
  add_parsed(*command, "--channels", "WHICH", options->source.channels,
             "mix (default), left, right or a number from 1", parse_one_channel);
  add_resampler(*command, options->source.resampler);
  add_window(*command, options->window);
  add_work(*command, options->share, options->strict, options->dry_run, options->json_progress);
  command->final_callback([options, &common, &chosen] {
    if (options->inputs.inputs.empty() && !options->inputs.list) {
      throw UsageError("no inputs given (see mimi tokenize --help)");
    }
    options->inputs.left_out = options->out;
    chosen = [options = *options, common] { return run_tokenize(options, common); };
  });
}

void add_merge(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<MergeOptions>();
  CLI::App* command =
      app.add_subcommand("merge", "Make a dataset whole once all shares of its shards are done.");
  command->footer(kMergeExamples);
  naming_something(command->add_option("DIR", options->dataset))->required();
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_merge(options, common); };
  });
}

double parse_fraction(const std::string& text) {
  double share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (error == std::errc() && end == text.data() + text.size() && share > 0 && share <= 1) {
    return share;
  }
  throw CLI::ValidationError("'" + text + "' is not a share above 0 and up to 1, such as 0.01");
}

void add_verify(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Check that a dataset is what it says.");
  command->footer(kVerifyExamples);
  naming_something(command->add_option("DIR", options->dataset))->required();
  command->add_flag("--sources", options->sources, "check the source files' checksums too");
  CLI::Option* resample =
      add_parsed(*command, "--resample", "SHARE", options->resample,
                 "encode a random share of the recordings again, such as 0.01, and compare bits",
                 parse_fraction);
  CLI::Option* seed =
      add_parsed(*command, "--seed", "N", options->seed,
                 "which recordings are chosen (default: others each time)", parse_seed);
  seed->needs(resample);
  command->final_callback([options, seed, &common, &chosen] {
    if (seed->count() == 0) options->seed = std::random_device()();
    chosen = [options = *options, common] { return run_verify(options, common); };
  });
}

void add_detokenize(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<DetokenizeOptions>();
  CLI::App* command = app.add_subcommand("detokenize", "Turn a dataset back into recordings.");
  command->footer(kDetokenizeExamples);
  naming_something(command->add_option("DIR", options->dataset))->required();
  add_path(*command, "--out", "DIR", options->out, "folder for the recordings")->required();
  add_parsed(*command, "--as", "FORM", options->form, "wav (default), flac or ogg",
             parse_sound_form);
  add_sample_format(*command, options->sink.sample, "samples: s16 (default), s24 or f32");
  add_rate(*command, options->sink.rate_hz, "sample rate of the recordings (default 24000)");
  add_resampler(*command, options->sink.resampler);
  add_work(*command, options->share, options->strict, options->dry_run, options->json_progress);
  command->final_callback([options, command, &common, &chosen] {
    options->sink.sample_given = command->count("--format") > 0;
    chosen = [options = *options, common] { return run_detokenize(options, common); };
  });
}

}  // namespace

void add_dataset_tools(CLI::App& app, const CommonOptions& common, Command& chosen) {
  add_tokenize(app, common, chosen);
  add_merge(app, common, chosen);
  add_verify(app, common, chosen);
  add_detokenize(app, common, chosen);
}

}  // namespace mimi::cli
