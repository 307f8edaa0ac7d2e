#include "core/layout.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/quote.h"

namespace mimi {

namespace {

constexpr std::string_view kFusedProjection = "in_proj_weight";

// What stands between the dots of Kyutai's names; what has an empty new name vanishes.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kRenamedParts = {{
    {"model", "layers"},
    {"transformer", ""},
    {"convtr", "conv"},
    {"out_proj", "o_proj"},
    {"linear1", "mlp.fc1"},
    {"linear2", "mlp.fc2"},
    {"norm1", "input_layernorm"},
    {"norm2", "post_attention_layernorm"},
    {"layer_scale_1", "self_attn_layer_scale"},
    {"layer_scale_2", "mlp_layer_scale"},
    {"rvq_first", "semantic_residual_vector_quantizer"},
    {"rvq_rest", "acoustic_residual_vector_quantizer"},
    {"vq", ""},
    {"_codebook", "codebook"},
    {"_initialized", "initialized"},
    {"embedding_sum", "embed_sum"},
}};

// Two generations of Kyutai's attention differ in these.
void unify_projections(std::string& name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kNewer = {{
      {"in_projs.0.weight", kFusedProjection},
      {"out_projs.0.weight", "out_proj.weight"},
  }};
  for (const auto& [from, to] : kNewer) {
    if (name.ends_with(from)) name.replace(name.size() - from.size(), from.size(), to);
  }
}

// "encoder.model.0.conv.conv.weight" -> "encoder.layers.0.conv.weight"
std::string canonical_name(std::string name) {
  unify_projections(name);
  std::string canonical;
  std::string_view last;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    std::string_view part = std::string_view(name).substr(begin, end - begin);
    begin = end + 1;
    const auto* const renamed =
        std::ranges::find(kRenamedParts, part, [](const auto& pair) { return pair.first; });
    if (renamed != kRenamedParts.end()) part = renamed->second;
    // A convolution is wrapped two or three times.
    if (part.empty() || (part == "conv" && last == "conv")) continue;
    if (!canonical.empty()) canonical += '.';
    canonical += part;
    last = part;
  }
  return canonical;
}

// Shapes of a Kyutai file's tensors, under their canonical names.
class Shapes {
 public:
  Shapes(std::span<const TensorEntry> entries, const TensorIndex& index, const std::string& source)
      : entries_(entries), index_(index), source_(source) {}

  bool has(const std::string& name) const { return index_.contains(name); }

  // A size that no int holds becomes the largest int, which no dimension may have.
  std::vector<int> of(const std::string& name, std::size_t rank) const {
    const auto found = index_.find(name);
    if (found == index_.end()) throw Error(source_ + ": tensor " + quote(name) + " is missing");
    const TensorEntry& entry = entries_[found->second.entry];
    if (entry.shape.size() != rank) {
      throw Error(source_ + ": tensor " + quote(entry.name) + " is " + shape_text(entry.shape) +
                  ", expected " + std::to_string(rank) + " dimensions");
    }
    std::vector<int> shape;
    for (const std::int64_t size : entry.shape) {
      shape.push_back(static_cast<int>(std::min<std::int64_t>(size, kMaxInt)));
    }
    return shape;
  }

  // The numbers N of all tensors "<prefix>N<suffix>", ascending.
  std::vector<int> numbers(std::string_view prefix, std::string_view suffix) const {
    std::set<int> numbers;
    for (const auto& [name, origin] : index_) {
      if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
      const char* const begin = name.data() + prefix.size();
      const char* const end = name.data() + name.size() - suffix.size();
      int number = 0;
      const auto parsed = std::from_chars(begin, std::max(begin, end), number);
      if (parsed.ec == std::errc() && parsed.ptr == end) numbers.insert(number);
    }
    return {numbers.begin(), numbers.end()};
  }

 private:
  static constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

  std::span<const TensorEntry> entries_;
  const TensorIndex& index_;
  const std::string& source_;
};

// The encoder is a convolution, for each ratio some residual units, an ELU and a strided
// convolution of kernel 2 x ratio, an ELU and a last convolution: layers in one numbering.
void derive_seanet(const Shapes& shapes, Config& config, const std::string& source) {
  const auto weight = [](int layer, const char* what) {
    return "encoder.layers." + std::to_string(layer) + what;
  };
  const std::vector<int> layers = shapes.numbers("encoder.layers.", ".conv.weight");
  if (layers.size() < 3 || layers.front() != 0) {
    throw Error(source + ": has " + std::to_string(layers.size()) +
                " encoder convolutions, expected a first, at least one strided and a last");
  }
  const std::vector<int> first = shapes.of(weight(0, ".conv.weight"), 3);
  const std::vector<int> last = shapes.of(weight(layers.back(), ".conv.weight"), 3);
  const std::vector<int> residual = shapes.of(weight(1, ".block.1.conv.weight"), 3);
  config.num_filters = first[0];
  config.audio_channels = first[1];
  config.kernel_size = first[2];
  config.hidden_size = last[0];
  config.last_kernel_size = last[2];
  config.residual_kernel_size = residual[2];
  config.compress = residual[0] == 0 ? 0 : residual[1] / residual[0];
  config.num_residual_layers = layers[1] - 2;
  config.upsampling_ratios.clear();
  for (std::size_t i = layers.size() - 2; i > 0; --i) {
    config.upsampling_ratios.push_back(shapes.of(weight(layers[i], ".conv.weight"), 3)[2] / 2);
  }
}

void derive_quantizer(const Shapes& shapes, Config& config) {
  const std::string semantic = "quantizer.semantic_residual_vector_quantizer.layers.";
  const std::string acoustic = "quantizer.acoustic_residual_vector_quantizer.layers.";
  const std::string values =
      shapes.has(semantic + "0.codebook.embed") ? ".codebook.embed" : ".codebook.embed_sum";
  const std::vector<int> codebook = shapes.of(semantic + "0" + values, 2);
  config.codebook_size = codebook[0];
  config.codebook_dim = codebook[1];
  config.num_semantic_quantizers = static_cast<int>(shapes.numbers(semantic, values).size());
  config.num_quantizers =
      config.num_semantic_quantizers + static_cast<int>(shapes.numbers(acoustic, values).size());
}

}  // namespace

bool is_kyutai_layout(std::span<const TensorEntry> entries) {
  return std::ranges::any_of(
      entries, [](const TensorEntry& entry) { return entry.name.starts_with("encoder.model."); });
}

TensorIndex index_tensors(std::span<const TensorEntry> entries, const std::string& source) {
  const bool kyutai = is_kyutai_layout(entries);
  TensorIndex index;
  const auto add = [&](std::size_t i, const std::string& name, TensorPart part) {
    const auto [place, is_new] = index.insert({name, {.entry = i, .part = part}});
    if (is_new) return;
    throw Error(source + ": tensors " + quote(entries[place->second.entry].name) + " and " +
                quote(entries[i].name) + " are both " + quote(name));
  };
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::string name = kyutai ? canonical_name(entries[i].name) : entries[i].name;
    if (!kyutai || !name.ends_with(kFusedProjection)) {
      add(i, name, TensorPart::kWhole);
      continue;
    }
    name.resize(name.size() - kFusedProjection.size());
    add(i, name + "q_proj.weight", TensorPart::kQuery);
    add(i, name + "k_proj.weight", TensorPart::kKey);
    add(i, name + "v_proj.weight", TensorPart::kValue);
  }
  return index;
}

Config derive_kyutai_config(std::span<const TensorEntry> entries, const TensorIndex& index,
                            const std::string& source) {
  const Shapes shapes(entries, index, source);
  Config config;
  derive_seanet(shapes, config, source);
  derive_quantizer(shapes, config);
  const auto layers = shapes.numbers("encoder_transformer.layers.", ".mlp.fc1.weight");
  config.num_hidden_layers = static_cast<int>(layers.size());
  config.intermediate_size = shapes.of("encoder_transformer.layers.0.mlp.fc1.weight", 2)[0];
  config.upsample_groups = config.hidden_size;
  check_config(config, source);

  const std::vector<std::int64_t> fused = {std::int64_t{3} * config.hidden_size,
                                           config.hidden_size};
  for (const auto& [name, origin] : index) {
    const TensorEntry& entry = entries[origin.entry];
    if (origin.part == TensorPart::kWhole || entry.shape == fused) continue;
    throw Error(source + ": tensor " + quote(entry.name) + " is " + shape_text(entry.shape) +
                ", expected " + shape_text(fused));
  }
  return config;
}

}  // namespace mimi
