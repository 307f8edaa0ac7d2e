#include "cli/option_parsers.h"

#include <charconv>
#include <string_view>

namespace mimi::cli {
namespace {

constexpr double kMostSeconds = 1e9;  // 31 years
// 256 times less and more than 24 kHz.
constexpr int kLowestRate = 94;
constexpr int kHighestRate = 6144000;

// Digits, and in the last part of a time a fraction behind a point.
std::optional<double> parse_part(std::string_view text, bool is_last) {
  const std::string_view allowed = is_last ? "0123456789." : "0123456789";
  if (text.empty() || text.find_first_not_of(allowed) != std::string_view::npos)
    return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Seconds; minutes and seconds; hours, minutes and seconds.
std::optional<double> parse_time(std::string_view text) {
  double seconds = 0;
  for (int parts = 1;; ++parts) {
    const std::size_t colon = text.find(':');
    const auto part = parse_part(text.substr(0, colon), colon == std::string_view::npos);
    if (!part || parts > 3 || (parts > 1 && *part >= 60)) return std::nullopt;
    seconds = 60 * seconds + *part;
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  return seconds <= kMostSeconds ? std::optional(seconds) : std::nullopt;
}

double parse_checked_time(const std::string& text) {
  const std::optional<double> time = parse_time(text);
  if (time) return *time;
  throw CLI::ValidationError("'" + text + "' is not a time such as 90, 90.5, 1:30 or 1:01:30");
}

}  // namespace

CLI::Option* add_number(CLI::App& app, const std::string& name, int& value, int least, int most,
                        const std::string& description) {
  const auto parse = [least, most](const std::string& text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < least ||
        number > most) {
      throw CLI::ValidationError("'" + text + "' is not a number from " + std::to_string(least) +
                                 " to " + std::to_string(most));
    }
    return number;
  };
  return add_parsed(app, name, "N", value, description, parse);
}

CLI::Option* add_seconds(CLI::App& app, const std::string& name, double& seconds,
                         const std::string& description) {
  return add_parsed(app, name, "TIME", seconds, description, parse_checked_time);
}

void add_range(CLI::App& app, TimeRange& range) {
  add_parsed(app, "--from", "TIME", range.from_s, "where to begin: 90, 90.5, 1:30 or 1:01:30",
             parse_checked_time);
  add_parsed(app, "--to", "TIME", range.to_s, "where to end (default: the end)",
             parse_checked_time);
}

void add_warm_up(CLI::App& app, std::optional<double>& seconds) {
  add_parsed(app, "--warm-up", "TIME", seconds,
             "how long before --from to begin (default: as long as the model remembers, for the "
             "bits of the whole)",
             parse_checked_time)
      ->needs(app.get_option("--from"));
}

void check_range(const TimeRange& range) {
  if (range.to_s && *range.to_s <= range.from_s.value_or(0)) {
    throw UsageError("--to is not after --from");
  }
}

ChannelChoice parse_channels(const std::string& text) {
  using Kind = ChannelChoice::Kind;
  if (text == "mix") return {.kind = Kind::kMix};
  if (text == "keep") return {.kind = Kind::kKeep};
  if (text == "left") return {.kind = Kind::kOne, .index = 0};
  if (text == "right") return {.kind = Kind::kOne, .index = 1};
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 1) {
    return {.kind = Kind::kOne, .index = number - 1};
  }
  throw CLI::ValidationError("'" + text + "' is not mix, left, right, keep or a number from 1");
}

ChannelChoice parse_one_channel(const std::string& text) {
  const ChannelChoice choice = parse_channels(text);
  if (choice.kind != ChannelChoice::Kind::kKeep) return choice;
  throw CLI::ValidationError("keep is not for this command, which takes one channel");
}

Window parse_window_rule(const std::string& text) {
  static const auto parse = one_of<Window>({{"offline", Window::kOffline},
                                            {"moshi-streaming", Window::kMoshiStreaming},
                                            {"rust", Window::kRust}});
  return parse(text);
}

CLI::Option* add_window(CLI::App& app, Window& window) {
  return add_parsed(app, "--window", "RULE", window,
                    "whose attention window: offline (default), moshi-streaming or rust",
                    parse_window_rule);
}

CLI::Option* add_rate(CLI::App& app, int& rate_hz, const std::string& description) {
  return add_number(app, "--rate", rate_hz, kLowestRate, kHighestRate, description);
}

CLI::Option* add_sample_format(CLI::App& app, SampleFormat& format,
                               const std::string& description) {
  const auto parse = one_of<SampleFormat>(
      {{"s16", SampleFormat::kS16}, {"s24", SampleFormat::kS24}, {"f32", SampleFormat::kF32}});
  return add_parsed(app, "--format", "FORMAT", format, description, parse);
}

CLI::Option* add_resampler(CLI::App& app, ResamplerQuality& quality) {
  const auto parse = one_of<ResamplerQuality>({{"best", ResamplerQuality::kBest},
                                               {"medium", ResamplerQuality::kMedium},
                                               {"fast", ResamplerQuality::kFast}});
  return add_parsed(app, "--resampler", "QUALITY", quality, "best (default), medium or fast",
                    parse);
}

CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& metavar,
                      std::string& path, const std::string& description) {
  return naming_something(app.add_option(name, path, description)->type_name(metavar));
}

CLI::Option* naming_something(CLI::Option* option) {
  return option->check([](const std::string& text) { return text.empty() ? "names nothing" : ""; });
}

void add_output(CLI::App& app, OutputOptions& output, const std::string& description) {
  add_path(app, "-o,--output", "FILE", output.path, description);
  app.add_flag("-f,--force", output.force, "overwrite existing files");
}

void add_out_dir(CLI::App& app, OutputOptions& output) {
  add_path(app, "--out-dir", "DIR", output.directory, "folder for the outputs");
}

}  // namespace mimi::cli
