// mimi convert-model: a model as the weights that one dtype computes with.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "cli/commands.h"
#include "cli/named_error.h"
#include "cli/option_parsers.h"
#include "cli/output_file.h"
#include "core/config.h"
#include "core/model_conversion.h"
#include "core/model_path.h"

namespace mimi::cli {
namespace {

constexpr const char* kExamples =
    "  mimi convert-model kyutai/mimi mimi-int8 --dtype int8\n"
    "  mimi encode --model mimi-int8 speech.flac     to the codes of --model kyutai/mimi\n"
    "                                                --dtype int8\n";

struct ConvertModelOptions {
  std::string input, output;
  Dtype dtype = Dtype::kBf16;
  bool force = false;
};

// The original, its config.json included, is worth more than what is made of it.
void refuse_same_files(const std::string& input, const std::string& weights,
                       const std::string& config) {
  std::error_code error;  // where there is no output yet, or reading the input will tell
  const std::filesystem::path source =
      std::filesystem::is_directory(input, error) ? find_checkpoint(input) : input;
  const auto refuse = [&](const std::filesystem::path& from, const std::string& to) {
    if (!std::filesystem::equivalent(from, to, error)) return;
    throw UsageError(to + ": is of the model to convert: give another folder");
  };
  refuse(source, weights);
  refuse(std::filesystem::path(source).replace_filename("config.json"), config);
}

// Where the folder's model would stay another.
void refuse_hidden_model(const std::string& folder) {
  std::error_code error;  // making the folder will tell
  if (!std::filesystem::is_directory(folder, error)) return;
  const std::string name = preferred_to_standard(folder);
  if (name.empty()) return;
  throw UsageError((std::filesystem::path(folder) / name).string() +
                   ": would be read instead of the converted model: give another folder");
}

// Until there is another, the folder is no model, so that nobody takes new weights for old ones.
void remove_config(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) throw NamedError(path, "cannot be removed: " + error.message());
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw NamedError(path, "cannot make the folder: " + error.message());
}

int run_convert_model(const ConvertModelOptions& options) {
  const std::string input = resolve_model(options.input);
  const std::string weights_path = std::filesystem::path(options.output) / "model.safetensors";
  const std::string config_path = std::filesystem::path(options.output) / "config.json";
  refuse_same_files(input, weights_path, config_path);
  refuse_hidden_model(options.output);
  const Checkpoint checkpoint = Checkpoint::open(input);
  make_folder(options.output);
  std::error_code error;  // making the file will tell
  if (!options.force && std::filesystem::exists(config_path, error)) {
    throw NamedError(config_path, "already exists; -f overwrites it");
  }
  OutputFile weights(weights_path, options.force);
  convert_model(checkpoint, options.dtype,
                [&](std::span<const std::uint8_t> bytes) { weights.write(bytes); });
  const std::string json = config_json(checkpoint.config());
  remove_config(config_path);
  weights.commit();
  OutputFile config(config_path, options.force);
  config.write({reinterpret_cast<const std::uint8_t*>(json.data()), json.size()});
  config.commit();
  return kExitDone;
}

}  // namespace

void add_convert_model(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ConvertModelOptions>();
  CLI::App* command =
      app.add_subcommand("convert-model", "Write a model's weights in bf16 or int8.");
  command->footer(kExamples);
  naming_something(command->add_option("IN", options->input, "as for --model"))->required();
  naming_something(command->add_option("OUT", options->output, "folder to make"))->required();
  add_parsed(*command, "--dtype", "bf16|int8", options->dtype, "weights to write",
             one_of<Dtype>({{"bf16", Dtype::kBf16}, {"int8", Dtype::kInt8}}))
      ->required();
  command->add_flag("-f,--force", options->force, "replace what OUT has");
  command->final_callback(
      [options, &chosen] { chosen = [options = *options] { return run_convert_model(options); }; });
}

}  // namespace mimi::cli
