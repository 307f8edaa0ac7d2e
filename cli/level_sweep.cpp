#include "cli/level_sweep.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace mimi::cli {
namespace {

// The first `levels` codes of each frame of `all`.
std::vector<std::uint16_t> cut_levels(std::span<const std::uint16_t> codes, int all, int levels) {
  std::vector<std::uint16_t> cut;
  for (std::size_t i = 0; i < codes.size(); i += static_cast<std::size_t>(all)) {
    const auto frame = codes.subspan(i, static_cast<std::size_t>(levels));
    cut.insert(cut.end(), frame.begin(), frame.end());
  }
  return cut;
}

}  // namespace

LevelSweep::LevelSweep(const Model& model, std::vector<int> counts, const StreamOptions& stream)
    : counts_(std::move(counts)), encoder_(model, {.levels = counts_.back(), .stream = stream}) {
  for (const int count : counts_) {
    decoders_.emplace_back(model, DecoderOptions{.levels = first_levels(count), .stream = stream});
  }
}

void LevelSweep::push(std::span<const float> samples, const Use& use) {
  original_.insert(original_.end(), samples.begin(), samples.end());
  encoder_.push(samples, codes_);
  decode(use);
}

void LevelSweep::finish(const Use& use) {
  encoder_.finish(codes_);
  decode(use);
}

void LevelSweep::decode(const Use& use) {
  if (codes_.empty()) return;
  SweepBlock block;
  std::vector<std::vector<std::uint16_t>> codes;
  std::vector<std::vector<float>> decoded(counts_.size());
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    codes.push_back(cut_levels(codes_, counts_.back(), counts_[i]));
    decoders_[i].push(codes[i], decoded[i]);
  }
  // Of the last frame only what was heard, not what it was padded with.
  const std::size_t count = std::min(original_.size(), decoded.front().size());
  block.original = std::span(original_).first(count);
  block.padding_samples = static_cast<int>(decoded.front().size() - count);
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    block.views.push_back({.codes = codes[i], .decoded = std::span(decoded[i]).first(count)});
  }
  use(block);
  original_.erase(original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(count));
  codes_.clear();
}

}  // namespace mimi::cli
