#include "core/config.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/quote.h"

namespace mimi {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxJsonBytes = 1 << 20;
constexpr int kMaxJsonDepth = 16;
constexpr int kMaxRatio = 64;
constexpr std::size_t kMaxRatios = 8;
// What one stream may need, far above Mimi's: 1920 x 64 values in its widest layer for a frame, 8
// layers' keys and values of 250 steps x 512, a reach of 2 rows in a dilated convolution.
constexpr std::int64_t kMaxFrameValues = std::int64_t{1} << 24;
constexpr std::int64_t kMaxAttentionValues = std::int64_t{1} << 28;
constexpr std::int64_t kMaxFrameSamples = 65'535;  // of a token file
constexpr std::int64_t kMaxChannels = 65'536;
constexpr std::int64_t kMaxReach = 4096;

struct Dimension {
  const char* key;
  int Config::*member;
  int low;
  int high;
};

// Their order is that of config_text().
constexpr std::array kDimensions = {
    Dimension{"sampling_rate", &Config::sampling_rate, 1000, 768'000},
    Dimension{"audio_channels", &Config::audio_channels, 1, 1},
    Dimension{"hidden_size", &Config::hidden_size, 2, 16'384},
    Dimension{"num_filters", &Config::num_filters, 1, 4096},
    Dimension{"num_residual_layers", &Config::num_residual_layers, 1, 8},
    Dimension{"kernel_size", &Config::kernel_size, 1, 64},
    Dimension{"last_kernel_size", &Config::last_kernel_size, 1, 64},
    Dimension{"residual_kernel_size", &Config::residual_kernel_size, 1, 64},
    Dimension{"dilation_growth_rate", &Config::dilation_growth_rate, 1, 16},
    Dimension{"compress", &Config::compress, 1, 4096},
    Dimension{"codebook_size", &Config::codebook_size, 2, 65'536},
    Dimension{"codebook_dim", &Config::codebook_dim, 1, 4096},
    Dimension{"num_quantizers", &Config::num_quantizers, 2, 256},
    Dimension{"num_semantic_quantizers", &Config::num_semantic_quantizers, 1, 1},
    Dimension{"upsample_groups", &Config::upsample_groups, 2, 16'384},
    Dimension{"num_hidden_layers", &Config::num_hidden_layers, 1, 256},
    Dimension{"intermediate_size", &Config::intermediate_size, 1, 65'536},
    Dimension{"num_attention_heads", &Config::num_attention_heads, 1, 8192},
    Dimension{"sliding_window", &Config::sliding_window, 2, 65'536},  // moshi-streaming's is 1 less
};

std::string number_text(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// As printf's "%.17g", whatever the locale: enough digits for every double.
std::string exact_text(double value) {
  std::array<char, 32> text{};
  const auto general = std::chars_format::general;
  return {text.data(),
          std::to_chars(text.data(), text.data() + text.size(), value, general, 17).ptr};
}

[[noreturn]] void fail(const std::string& source, std::string_view key, const std::string& found,
                       const std::string& expected) {
  throw Error(source + ": " + quote(key) + " is " + found + ", expected " + expected);
}

// A value as JSON, in one line of printable ASCII.
std::string value_text(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

json parse_object(std::string_view text, const std::string& source) {
  if (text.size() > kMaxJsonBytes) {
    throw Error(source + ": is " + std::to_string(text.size()) + " bytes long, expected at most " +
                std::to_string(kMaxJsonBytes));
  }
  std::array<std::set<std::string>, kMaxJsonDepth + 1> keys;  // of the open object at each depth
  const auto check = [&](int depth, json::parse_event_t event, const json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      if (depth >= kMaxJsonDepth) throw Error(source + ": is nested more than 16 levels deep");
      keys[level + 1].clear();
    } else if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys[level].insert(key).second) throw Error(source + ": has " + quote(key) + " twice");
    }
    return true;
  };
  json parsed;
  try {
    parsed = json::parse(text, check);
  } catch (const json::parse_error& error) {
    throw Error(source + ": is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::out_of_range&) {
    throw Error(source + ": holds a number too large for any computer");
  }
  if (!parsed.is_object()) throw Error(source + ": is not a JSON object");
  return parsed;
}

// transformers takes null for absent here.
void drop_null(json& object, std::initializer_list<const char*> keys) {
  for (const char* const key : keys) {
    const auto found = object.find(key);
    if (found != object.end() && found->is_null()) object.erase(found);
  }
}

// Access to the keys of one object; a key that is absent has its default.
class Reader {
 public:
  Reader(const json& object, const std::string& source) : object_(object), source_(source) {}

  bool has(const char* key) const { return object_.contains(key); }

  int integer(const char* key, int otherwise) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return otherwise;
    return to_int(key, *found);
  }

  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    const json& value = object_.at(key);
    if (!value.is_number()) fail(source_, key, value_text(value), "a number");
    return value.get<double>();
  }

  std::vector<int> integers(const char* key, const std::vector<int>& otherwise) const {
    if (!has(key)) return otherwise;
    const json& value = object_.at(key);
    if (!value.is_array()) fail(source_, key, value_text(value), "a list of whole numbers");
    if (value.size() > kMaxRatios) {
      fail(source_, key, "a list of " + std::to_string(value.size()), "1 to 8");
    }
    std::vector<int> list;
    for (const json& element : value) list.push_back(to_int(key, element));
    return list;
  }

  // For keys that may have one value only, which an absent one has.
  void expect(const char* key, const json& expected) const {
    const auto found = object_.find(key);
    if (found != object_.end() && *found != expected) {
      fail(source_, key, value_text(*found), value_text(expected));
    }
  }

  // For keys that must equal another dimension and have a default of their own.
  void expect_equal(const char* key, int otherwise, int expected, const char* reason) const {
    const int value = integer(key, otherwise);
    if (value == expected) return;
    const char* const note = object_.contains(key) ? "" : " (the default, as it is missing)";
    fail(source_, key, std::to_string(value) + note, std::to_string(expected) + ", " + reason);
  }

  const json& operator[](const char* key) const { return object_.at(key); }

 private:
  int to_int(const char* key, const json& value) const {
    if (!value.is_number_integer()) fail(source_, key, value_text(value), "a whole number");
    constexpr std::int64_t kLimit = 1'000'000'000;
    const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > kLimit;
    const auto number = huge ? kLimit + 1 : value.get<std::int64_t>();
    if (number > kLimit || number < -kLimit) {
      fail(source_, key, value_text(value), "at most 1000000000 either side of 0");
    }
    return static_cast<int>(number);
  }

  const json& object_;
  const std::string& source_;
};

// transformers before version 5 has "rope_theta" and, for positions other than plain ones,
// "rope_scaling"; version 5 has both in "rope_parameters".
double read_rope_theta(const Reader& reader, const std::string& source) {
  const double published = Config().rope_theta;
  double theta = reader.number("rope_theta", published);
  for (const char* const key : {"rope_scaling", "rope_parameters"}) {
    if (!reader.has(key)) continue;
    if (!reader[key].is_object()) fail(source, key, value_text(reader[key]), "an object");
    const std::string inner_source = source + ": " + quote(key);
    json parameters = reader[key];
    drop_null(parameters, {"rope_theta"});
    const Reader inner(parameters, inner_source);
    inner.expect("rope_type", "default");
    inner.expect("type", "default");
    inner.expect("partial_rotary_factor", 1.0);
    const double inner_theta = inner.number("rope_theta", theta);
    if (reader.has("rope_theta") && inner_theta != theta) {
      fail(inner_source, "rope_theta", number_text(inner_theta),
           number_text(theta) + ", as outside");
    }
    theta = inner_theta;
  }
  return theta;
}

void check_graph(const Reader& reader, const Config& config, const std::string& source) {
  if (!reader.has("model_type")) fail(source, "model_type", "missing", "\"mimi\"");
  reader.expect("model_type", "mimi");
  reader.expect("use_causal_conv", true);
  reader.expect("pad_mode", "constant");
  reader.expect("trim_right_ratio", 1.0);
  reader.expect("use_conv_shortcut", false);
  reader.expect("hidden_act", "gelu");
  reader.expect("attention_bias", false);
  reader.expect_equal("num_key_value_heads", 8, config.num_attention_heads,
                      "as num_attention_heads");
  reader.expect_equal("vector_quantization_hidden_dimension", 256, config.codebook_dim,
                      "as codebook_dim");
  if (reader.has("head_dim")) {
    reader.expect_equal("head_dim", 0, config.head_dim(), "hidden_size / num_attention_heads");
  }
  for (const char* const key : {"frame_rate", "_frame_rate"}) {  // by the version that wrote it
    const double frame_rate = reader.number(key, config.frame_rate());
    if (std::abs(frame_rate - config.frame_rate()) <= 1e-6 * config.frame_rate()) continue;
    fail(source, key, number_text(frame_rate),
         number_text(config.frame_rate()) + ", that of " + std::to_string(config.frame_samples()) +
             " samples at " + std::to_string(config.sampling_rate) + " Hz");
  }
}

void check_ratios(const Config& config, const std::string& source) {
  constexpr const char* kKey = "upsampling_ratios";
  if (config.upsampling_ratios.empty() || config.upsampling_ratios.size() > kMaxRatios) {
    fail(source, kKey, "a list of " + std::to_string(config.upsampling_ratios.size()), "1 to 8");
  }
  std::int64_t channels = config.num_filters;
  std::int64_t frame_samples = 2;
  for (const int ratio : config.upsampling_ratios) {
    if (ratio < 1 || ratio > kMaxRatio) {
      fail(source, kKey, "a list with " + std::to_string(ratio), "1 to 64");
    }
    channels *= 2;
    frame_samples *= ratio;
    if (channels > kMaxChannels || frame_samples * config.num_filters > kMaxFrameValues) {
      fail(source, kKey, "too large with num_filters " + std::to_string(config.num_filters),
           "at most 65536 channels, and 2^24 values in a frame of the widest layer");
    }
    if (frame_samples > kMaxFrameSamples) {
      fail(source, kKey, "a frame of " + std::to_string(frame_samples) + " samples or more",
           "at most 65535");
    }
  }
}

void check_reach(const Config& config, const std::string& source) {
  std::int64_t reach = std::max(1, config.residual_kernel_size - 1);
  for (int layer = 1; layer < config.num_residual_layers && reach <= kMaxReach; ++layer) {
    reach *= config.dilation_growth_rate;
  }
  if (reach > kMaxReach) {
    fail(source, "dilation_growth_rate", std::to_string(config.dilation_growth_rate),
         "dilated residual layers that reach back at most 4096 steps");
  }
}

void check_attention(const Config& config, const std::string& source) {
  if (config.hidden_size % config.num_attention_heads != 0 || config.head_dim() % 2 != 0) {
    fail(source, "hidden_size", std::to_string(config.hidden_size),
         "an even multiple of num_attention_heads, " + std::to_string(config.num_attention_heads));
  }
  constexpr std::int64_t kLanes = 16;  // that a head's values are padded to
  const std::int64_t width =
      (config.head_dim() + kLanes - 1) / kLanes * kLanes * config.num_attention_heads;
  const std::int64_t values =
      std::int64_t{2} * config.num_hidden_layers * config.sliding_window * width;
  if (values > kMaxAttentionValues) {
    fail(source, "sliding_window", std::to_string(config.sliding_window),
         "at most 2^28 keys and values in all layers");
  }
}

}  // namespace

int Config::hop_samples() const {
  int samples = 1;
  for (const int ratio : upsampling_ratios) samples *= ratio;
  return samples;
}

int Config::frame_samples() const { return 2 * hop_samples(); }

double Config::frame_rate() const { return static_cast<double>(sampling_rate) / frame_samples(); }

void check_config(const Config& config, const std::string& source) {
  for (const Dimension& dimension : kDimensions) {
    const int value = config.*dimension.member;
    if (value >= dimension.low && value <= dimension.high) continue;
    std::string expected = std::to_string(dimension.low);
    if (dimension.high != dimension.low) expected += " to " + std::to_string(dimension.high);
    fail(source, dimension.key, std::to_string(value), expected);
  }
  check_ratios(config, source);
  check_reach(config, source);
  check_attention(config, source);
  if (config.num_filters % config.compress != 0) {
    fail(source, "num_filters", std::to_string(config.num_filters),
         "a multiple of compress, " + std::to_string(config.compress));
  }
  if (config.upsample_groups != config.hidden_size) {
    fail(source, "upsample_groups", std::to_string(config.upsample_groups),
         std::to_string(config.hidden_size) + ", as hidden_size");
  }
  if (!(config.norm_eps > 0 && config.norm_eps <= 1)) {
    fail(source, "norm_eps", number_text(config.norm_eps), "above 0, at most 1");
  }
  if (!(config.rope_theta >= 1 && config.rope_theta <= 1e12)) {
    fail(source, "rope_theta", number_text(config.rope_theta), "1 to 1e12");
  }
}

Config parse_config(std::string_view text, const std::string& source) {
  json object = parse_object(text, source);
  drop_null(object, {"upsampling_ratios", "frame_rate", "_frame_rate", "head_dim", "rope_theta",
                     "rope_scaling", "rope_parameters"});
  const Reader reader(object, source);
  Config config;
  for (const Dimension& dimension : kDimensions) {
    config.*dimension.member = reader.integer(dimension.key, config.*dimension.member);
  }
  config.upsampling_ratios = reader.integers("upsampling_ratios", config.upsampling_ratios);
  config.norm_eps = reader.number("norm_eps", config.norm_eps);
  config.rope_theta = read_rope_theta(reader, source);
  check_config(config, source);
  check_graph(reader, config, source);
  return config;
}

std::string config_text(const Config& config) {
  std::string text;
  const auto line = [&text](const char* key, const std::string& value) {
    text.append(key).append(" ").append(value).append("\n");
  };
  for (const Dimension& dimension : kDimensions) {
    line(dimension.key, std::to_string(config.*dimension.member));
  }
  std::string ratios;
  for (const int ratio : config.upsampling_ratios) {
    if (!ratios.empty()) ratios += ',';
    ratios += std::to_string(ratio);
  }
  line("upsampling_ratios", ratios);
  line("norm_eps", exact_text(config.norm_eps));
  line("rope_theta", exact_text(config.rope_theta));
  return text;
}

std::string config_json(const Config& config) {
  nlohmann::ordered_json object = {{"model_type", "mimi"}, {"architectures", {"MimiModel"}}};
  for (const Dimension& dimension : kDimensions) object[dimension.key] = config.*dimension.member;
  object["head_dim"] = config.head_dim();
  object["num_key_value_heads"] = config.num_attention_heads;
  object["vector_quantization_hidden_dimension"] = config.codebook_dim;
  object["upsampling_ratios"] = config.upsampling_ratios;
  object["norm_eps"] = config.norm_eps;
  object["rope_theta"] = config.rope_theta;
  return object.dump(2) + "\n";
}

}  // namespace mimi
