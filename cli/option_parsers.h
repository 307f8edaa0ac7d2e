// Options whose values are checked as they are read, for CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "cli/commands.h"

namespace mimi::cli {

template <typename T>
auto one_of(const std::map<std::string, T>& values) {
  return [values](const std::string& text) {
    const auto found = values.find(text);
    if (found != values.end()) return found->second;
    std::string names;
    for (const auto& [name, value] : values) names += (names.empty() ? "" : ", ") + name;
    throw CLI::ValidationError("'" + text + "' is not one of " + names);
  };
}

// An option whose text `parse` turns into `value`, or throws CLI::ValidationError.
template <typename T, typename Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& metavar,
                        T& value, const std::string& description, Parse parse) {
  const auto set = [name, &value, parse](const std::string& text) {
    try {
      value = parse(text);
    } catch (const CLI::ValidationError& error) {
      throw CLI::ValidationError(name.substr(name.find("--")) + ": " + error.what());
    }
  };
  return app.add_option_function<std::string>(name, set, description)->type_name(metavar);
}

CLI::Option* add_number(CLI::App& app, const std::string& name, int& value, int least, int most,
                        const std::string& description);
// A span of time, written as 90, 90.5, 1:30 or 1:01:30.5.
CLI::Option* add_seconds(CLI::App& app, const std::string& name, double& seconds,
                         const std::string& description);
// --from and --to.
void add_range(CLI::App& app, TimeRange& range);
// --warm-up.
void add_warm_up(CLI::App& app, std::optional<double>& seconds);
// Throws UsageError where the range is empty.
void check_range(const TimeRange& range);

ChannelChoice parse_channels(const std::string& text);
// As above, without keep, for what works on one channel.
ChannelChoice parse_one_channel(const std::string& text);
Window parse_window_rule(const std::string& text);
// --window of what encodes.
CLI::Option* add_window(CLI::App& app, Window& window);
// --rate, in Hz.
CLI::Option* add_rate(CLI::App& app, int& rate_hz, const std::string& description);
// --format of what is written.
CLI::Option* add_sample_format(CLI::App& app, SampleFormat& format, const std::string& description);
CLI::Option* add_resampler(CLI::App& app, ResamplerQuality& quality);

// A path, or what stands for one: empty, it would be the same as not given.
CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& metavar,
                      std::string& path, const std::string& description);
// Refuses an empty text, of each where the option takes several.
CLI::Option* naming_something(CLI::Option* option);
// -o and -f.
void add_output(CLI::App& app, OutputOptions& output, const std::string& description);
void add_out_dir(CLI::App& app, OutputOptions& output);

}  // namespace mimi::cli
