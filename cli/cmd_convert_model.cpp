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
  bool force = false;
};

Dtype wanted_dtype(const CommonOptions& common) {
  const auto dtype = common.dtype.value_or(DtypeChoice::kF32);
  if (dtype == DtypeChoice::kBf16) return Dtype::kBf16;
  if (dtype == DtypeChoice::kInt8) return Dtype::kInt8;
  throw UsageError("convert-model needs --dtype bf16 or --dtype int8");
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw NamedError(path, "cannot make the folder: " + error.message());
}

void write_weights(const Checkpoint& checkpoint, Dtype dtype, OutputFile& file) {
  convert_model(checkpoint, dtype, [&](std::span<const std::uint8_t> bytes) { file.write(bytes); });
}

template <typename Write>
void write_file(const std::string& path, bool force, Write write) {
  OutputFile file(path, force);
  write(file);
  file.commit();
}

int run_convert_model(const ConvertModelOptions& options, const CommonOptions& common) {
  const Dtype dtype = wanted_dtype(common);
  const Checkpoint checkpoint = Checkpoint::open(resolve_model(options.input));
  make_folder(options.output);
  const auto place = [&](const char* file) {
    return (std::filesystem::path(options.output) / file).string();
  };
  const std::string config = place("config.json");
  if (!options.force && std::filesystem::exists(config)) {
    throw NamedError(config, "already exists; -f overwrites it");
  }
  write_file(place("model.safetensors"), options.force,
             [&](OutputFile& file) { write_weights(checkpoint, dtype, file); });
  // Last, since a folder without it is no model.
  write_file(config, options.force, [&](OutputFile& file) {
    const std::string json = config_json(checkpoint.config());
    file.write({reinterpret_cast<const std::uint8_t*>(json.data()), json.size()});
  });
  return kExitDone;
}

}  // namespace

void add_convert_model(CLI::App& app, const CommonOptions& common, Command& chosen) {
  auto options = std::make_shared<ConvertModelOptions>();
  CLI::App* command =
      app.add_subcommand("convert-model", "Write a model's weights in bf16 or int8.");
  command->footer(kExamples);
  naming_something(command->add_option("IN", options->input, "as for --model"))->required();
  naming_something(command->add_option("OUT", options->output, "folder to make"))->required();
  command->add_flag("-f,--force", options->force, "replace what OUT has");
  command->final_callback([options, &common, &chosen] {
    chosen = [options = *options, common] { return run_convert_model(options, common); };
  });
}

}  // namespace mimi::cli
