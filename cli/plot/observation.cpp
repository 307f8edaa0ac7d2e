#include "cli/plot/observation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

namespace mimi::cli {
namespace {

constexpr int kShownLevels[] = {1, 4, 8, 32};

std::vector<int> counts_to(int levels) {
  std::vector<int> counts(static_cast<std::size_t>(levels));
  std::iota(counts.begin(), counts.end(), 1);
  return counts;
}

// Finite, whatever samples at the ends of their range add up to. Silence has none.
double decibels(double energy) {
  constexpr double kLeast = 1e-20, kMost = 1e100;
  return 10 * std::log10(energy > kLeast ? std::min(energy, kMost) : kLeast);
}

// What can be drawn: samples whose spectrum a float holds. The decoder's may not even be numbers.
std::vector<float> drawable(std::span<const float> samples) {
  static constexpr float kMost = 1e30F;
  std::vector<float> bounded;
  std::ranges::transform(samples, std::back_inserter(bounded), [](float sample) {
    return std::isnan(sample) ? 0.0F : std::clamp(sample, -kMost, kMost);
  });
  return bounded;
}

}  // namespace

Observer::Observer(const Model& model, int levels, const StreamOptions& stream, std::int64_t from,
                   std::int64_t to)
    : to_(to),
      sweep_(model, counts_to(levels), stream),
      changes_(static_cast<std::size_t>(levels)) {
  seen_.rate_hz = model.info().sample_rate;
  seen_.frame_samples = model.info().frame_samples;
  seen_.codebook_size = model.info().codebook_size;
  seen_.levels = levels;
  seen_.from_sample = from;
  seen_.first_frame = from / seen_.frame_samples;
  seen_.spectrograms.push_back({.levels = 0, .decibels = {}});
  for (const int count : kShownLevels) {
    if (count > levels) continue;
    shown_.push_back(static_cast<std::size_t>(count - 1));
    seen_.spectrograms.push_back({.levels = count, .decibels = {}});
  }
  for (std::size_t i = 0; i < seen_.spectrograms.size(); ++i)
    stfts_.emplace_back(kSpectrogramShape);
  magnitudes_.resize(stfts_.size());
}

void Observer::push(std::span<const float> samples) {
  sweep_.push(samples, [this](const SweepBlock& block) { add(block); });
}

void Observer::add(const SweepBlock& block) {
  const std::int64_t first = next_sample_;
  const auto samples = static_cast<std::int64_t>(block.original.size());
  next_sample_ += samples;
  const std::int64_t end = std::clamp<std::int64_t>(to_ - first, 0, samples);
  const std::int64_t begin = std::clamp<std::int64_t>(seen_.from_sample - first, 0, end);
  if (begin == end) return;
  const auto part = [&](std::span<const float> all) {
    return drawable(
        all.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  };
  const std::vector<float> original = part(block.original);
  const std::vector<float> decoded = part(block.views.back().decoded);
  seen_.original.insert(seen_.original.end(), original.begin(), original.end());
  seen_.decoded.insert(seen_.decoded.end(), decoded.begin(), decoded.end());
  stfts_[0].push(original, magnitudes_[0]);
  for (std::size_t i = 0; i < shown_.size(); ++i) {
    stfts_[i + 1].push(part(block.views[shown_[i]].decoded), magnitudes_[i + 1]);
  }
  const std::int64_t frame = seen_.frame_samples;
  const auto codes = block.views.back().codes.subspan(
      static_cast<std::size_t>(begin / frame * seen_.levels),
      static_cast<std::size_t>(((end + frame - 1) / frame - begin / frame) * seen_.levels));
  seen_.codes.insert(seen_.codes.end(), codes.begin(), codes.end());
  add_changes(block, static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

void Observer::add_changes(const SweepBlock& block, std::size_t begin, std::size_t count) {
  std::vector<float> before(count);
  for (std::size_t level = 0; level < changes_.size(); ++level) {
    const std::span<const float> after = block.views[level].decoded.subspan(begin, count);
    for (std::size_t i = 0; i < count; ++i) {
      const double change = double{after[i]} - before[i];
      changes_[level] += change * change;
    }
    before.assign(after.begin(), after.end());
  }
  for (const float sample : before) energy_ += double{sample} * sample;
}

Observation Observer::finish() {
  if (!is_done()) sweep_.finish([this](const SweepBlock& block) { add(block); });
  for (std::size_t i = 0; i < stfts_.size(); ++i) {
    stfts_[i].finish(magnitudes_[i]);
    // A sine of amplitude 1 has half of the window's sum.
    const double scale = 2 / stfts_[i].window_sum();
    for (const float magnitude : magnitudes_[i]) {
      const double amplitude = scale * magnitude;
      seen_.spectrograms[i].decibels.push_back(static_cast<float>(decibels(amplitude * amplitude)));
    }
  }
  for (const double change : changes_) {
    seen_.change_db.push_back(decibels(change) - decibels(energy_));
  }
  return std::move(seen_);
}

}  // namespace mimi::cli
