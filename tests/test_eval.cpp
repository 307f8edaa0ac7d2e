// Measures of a signal with known faults, and statistics of known codes.
#include <doctest/doctest.h>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "cli/eval/code_statistics.h"
#include "cli/eval/distances.h"
#include "cli/stft.h"

namespace mimi::cli {
namespace {

constexpr int kRateHz = 24000;

std::vector<float> noise(std::size_t samples, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> values(samples);
  for (float& value : values) value = normal(random);
  return values;
}

Features features_of(std::span<const float> samples) {
  FeatureStream stream(kRateHz);
  Features features;
  stream.push(samples, features);
  stream.finish(features);
  return features;
}

Distances distances(const std::vector<float>& original, const std::vector<float>& decoded) {
  DistanceMeter meter;
  meter.add_samples(original, decoded);
  meter.add_features(features_of(original), features_of(decoded));
  return meter.result();
}

template <typename Change>
std::vector<float> changed(std::vector<float> values, Change change) {
  for (float& value : values) value = change(value);
  return values;
}

TEST_CASE("a gain and an offset are no distortion, but change spectra by what they are") {
  const std::vector<float> original = noise(30000, 1);
  const Distances half = distances(original, changed(original, [](float v) { return v / 2; }));
  CHECK(!(half.si_sdr_db < 100));  // or not a number, where rounding left nothing
  CHECK(half.mel == doctest::Approx(std::log(2)).epsilon(1e-4));
  CHECK(half.spectral_convergence == doctest::Approx(0.5).epsilon(1e-6));
  const Distances raised = distances(original, changed(original, [](float v) { return v + 0.5F; }));
  CHECK(raised.si_sdr_db > 80);
}

TEST_CASE("added noise is the distortion that it is") {
  const std::vector<float> original = noise(100000, 1);
  const std::vector<float> added = noise(100000, 2);
  std::vector<float> noisy = original;
  for (std::size_t i = 0; i < noisy.size(); ++i) noisy[i] += added[i] / 10;
  CHECK(distances(original, noisy).si_sdr_db == doctest::Approx(20).epsilon(0.01));
  CHECK(distances(original, added).si_sdr_db < -30);
}

TEST_CASE("of silence and of equal signals what is not defined is not finite") {
  const std::vector<float> silence(5000);
  CHECK(!std::isfinite(distances(silence, silence).si_sdr_db));
  CHECK(!std::isfinite(distances(silence, silence).spectral_convergence));
  CHECK(distances(silence, silence).mel == 0);
}

TEST_CASE("a spectrum is the same however its signal comes") {
  const std::vector<float> samples = noise(5003, 3);
  for (const StftShape& shape : kResolutions) {
    Stft whole(shape);
    std::vector<float> expected;
    whole.push(samples, expected);
    whole.finish(expected);
    const auto frames = 1 + samples.size() / static_cast<std::size_t>(shape.hop);
    CHECK(expected.size() == frames * static_cast<std::size_t>(whole.bins()));
    for (const std::size_t step : {std::size_t{1}, std::size_t{999}}) {
      Stft parts(shape);
      std::vector<float> found;
      for (std::size_t i = 0; i < samples.size(); i += step) {
        parts.push(std::span(samples).subspan(i, std::min(step, samples.size() - i)), found);
      }
      parts.finish(found);
      CHECK(found == expected);
    }
  }
}

TEST_CASE("a tone is in its bin") {
  std::vector<float> tone(9600);
  for (std::size_t i = 0; i < tone.size(); ++i) {
    tone[i] = static_cast<float>(
        std::sin(2 * 3.14159265358979 * 3000 * static_cast<double>(i) / kRateHz));
  }
  Stft stft({.fft = 1024, .window = 1024, .hop = 256});
  std::vector<float> magnitudes;
  stft.push(tone, magnitudes);
  const auto bins = static_cast<std::size_t>(stft.bins());
  const std::span<const float> frame(magnitudes.data() + 10 * bins, bins);
  CHECK(frame[128] == doctest::Approx(stft.window_sum() / 2).epsilon(1e-4));
  CHECK(frame[131] < 1e-3F * frame[128]);
}

TEST_CASE("entropy and use of known codes") {
  CodeStatistics codes(2, 8);
  const std::vector<std::uint16_t> given = {0, 5, 1, 5, 2, 5, 3, 5};
  codes.add(given);
  CHECK(codes.frames() == 4);
  CHECK(codes.entropy_bits(0) == doctest::Approx(2));
  CHECK(codes.entropy_bits(1) == 0);
  CHECK(codes.used(0) == 4);
  CHECK(codes.used(1) == 1);
  codes.add(codes);
  CHECK(codes.frames() == 8);
  CHECK(codes.entropy_bits(0) == doctest::Approx(2));
}

}  // namespace
}  // namespace mimi::cli
