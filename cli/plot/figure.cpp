#include "cli/plot/figure.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "cli/plot/axes.h"

namespace mimi::cli {
namespace {

constexpr int kWidth = 1600;
constexpr int kHeight = 1120;
constexpr double kLeft = 85;
constexpr double kRight = 1500;  // of what is not a colour bar
constexpr Box kWaveformBox = {.left = kLeft, .top = 85, .width = kRight - kLeft, .height = 150};
constexpr Box kSpectrogramsBox = {
    .left = kLeft, .top = 325, .width = kRight - kLeft, .height = 240};
constexpr Box kTokensBox = {.left = kLeft, .top = 655, .width = 900, .height = 400};
constexpr Box kChangesBox = {.left = 1170, .top = 655, .width = kRight - 1170, .height = 400};
constexpr double kGap = 24;

constexpr Colour kOriginal = {0.55, 0.55, 0.55};
constexpr Colour kDecoded = {0.13, 0.37, 0.66};

constexpr double kShownDecibels = 70;  // below the loudest
constexpr double kRoundDecibels = 10;
constexpr double kLeastChange = -60;

double begin_s(const Observation& seen) {
  return static_cast<double>(seen.from_sample) / seen.rate_hz;
}

double end_s(const Observation& seen) {
  return begin_s(seen) + static_cast<double>(seen.original.size()) / seen.rate_hz;
}

Scale time_scale(const Observation& seen) {
  return {.from = begin_s(seen), .to = end_s(seen), .title = "time, s"};
}

float largest(std::span<const float> samples) {
  float most = 0;
  for (const float sample : samples) most = std::max(most, std::abs(sample));
  return most;
}

std::string level_text(int levels) {
  return std::to_string(levels) + (levels == 1 ? " level" : " levels");
}

// From each pixel's lowest to its highest sample, and at least a pixel's height.
void draw_waveform(Canvas& canvas, const Axes& axes, std::span<const float> samples,
                   const Colour& colour) {
  const auto columns = static_cast<std::size_t>(axes.box().width);
  std::vector<Point> upper, lower;
  for (std::size_t column = 0; column < columns; ++column) {
    const std::size_t begin = column * samples.size() / columns;
    const std::size_t end = std::max((column + 1) * samples.size() / columns, begin + 1);
    const auto [least, most] = std::minmax_element(
        samples.begin() + static_cast<std::ptrdiff_t>(begin),
        samples.begin() + static_cast<std::ptrdiff_t>(std::min(end, samples.size())));
    const double x = axes.box().left + static_cast<double>(column) + 0.5;
    upper.push_back({x, axes.y(*most) - 0.5});
    lower.push_back({x, axes.y(*least) + 0.5});
  }
  upper.insert(upper.end(), lower.rbegin(), lower.rend());
  canvas.fill(upper, colour, 0.75);
}

void draw_waveforms(Canvas& canvas, const Observation& seen) {
  const double peak = 1.05 * std::max({largest(seen.original), largest(seen.decoded), 1e-3F});
  Axes axes(canvas, kWaveformBox, time_scale(seen),
            {.from = -peak, .to = peak, .title = "amplitude (full scale 1)"});
  draw_waveform(canvas, axes, seen.original, kOriginal);
  draw_waveform(canvas, axes, seen.decoded, kDecoded);
  axes.draw(16, 4);
  const double y = kWaveformBox.top - 14;
  canvas.fill({.left = kLeft, .top = y - 6, .width = 12, .height = 12}, kOriginal);
  canvas.text({kLeft + 18, y}, "original", {.size = 14});
  canvas.fill({.left = kLeft + 90, .top = y - 6, .width = 12, .height = 12}, kDecoded);
  canvas.text({kLeft + 108, y}, "decoded from " + level_text(seen.levels), {.size = 14});
}

Pixels spectrogram_pixels(const Spectrogram& spectrogram, double loudest) {
  const int bins = kSpectrogramShape.fft / 2 + 1;
  const int frames = static_cast<int>(spectrogram.decibels.size()) / bins;
  Pixels pixels{.columns = frames, .rows = bins, .values = {}};
  for (int row = 0; row < bins; ++row) {
    for (int frame = 0; frame < frames; ++frame) {
      const auto at = static_cast<std::size_t>(frame * bins + (bins - 1 - row));
      const double value = 1 + (spectrogram.decibels[at] - loudest) / kShownDecibels;
      pixels.values.push_back(packed(viridis(value)));
    }
  }
  return pixels;
}

// The top of the colours: what is loudest in the original, rounded up.
double loudest_decibels(const Observation& seen) {
  const std::vector<float>& original = seen.spectrograms.front().decibels;
  const double most = *std::max_element(original.begin(), original.end());
  return kRoundDecibels * std::ceil(std::max(most, -100.0) / kRoundDecibels);
}

void draw_spectrograms(Canvas& canvas, const Observation& seen) {
  const double loudest = loudest_decibels(seen);
  const auto count = static_cast<double>(seen.spectrograms.size());
  Box box = kSpectrogramsBox;
  box.width = (box.width - kGap * (count - 1)) / count;
  for (const Spectrogram& spectrogram : seen.spectrograms) {
    const bool is_first = spectrogram.levels == 0;
    Axes axes(canvas, box, time_scale(seen),
              {.from = 0, .to = seen.rate_hz / 2000.0, .title = is_first ? "frequency, kHz" : ""});
    axes.title(is_first ? "original" : level_text(spectrogram.levels));
    canvas.image(box, spectrogram_pixels(spectrogram, loudest));
    axes.draw(5, 6);
    box.left += box.width + kGap;
  }
  colour_bar(canvas, kSpectrogramsBox,
             {.from = loudest - kShownDecibels, .to = loudest, .title = "dB of full scale"});
}

// Level 0 is the top row.
Scale level_scale(const Observation& seen) {
  return {.from = seen.levels - 0.5, .to = -0.5, .title = "level", .least_step = 1};
}

void draw_tokens(Canvas& canvas, const Observation& seen) {
  const int frames = static_cast<int>(seen.codes.size()) / seen.levels;
  Pixels pixels{.columns = frames, .rows = seen.levels, .values = {}};
  for (int level = 0; level < seen.levels; ++level) {
    for (int frame = 0; frame < frames; ++frame) {
      const auto code = seen.codes[static_cast<std::size_t>(frame * seen.levels + level)];
      pixels.values.push_back(packed(viridis(code / (seen.codebook_size - 1.0))));
    }
  }
  const double frame_s = static_cast<double>(seen.frame_samples) / seen.rate_hz;
  const double from = static_cast<double>(seen.first_frame) * frame_s;
  Axes axes(canvas, kTokensBox, {.from = from, .to = from + frames * frame_s, .title = "time, s"},
            level_scale(seen));
  axes.title("tokens");
  canvas.image(kTokensBox, pixels);
  axes.draw(12, 16);
  colour_bar(canvas, kTokensBox, {.from = 0, .to = seen.codebook_size - 1.0, .title = "code"});
}

void draw_changes(Canvas& canvas, const Observation& seen) {
  const double least =
      std::max(kLeastChange, *std::min_element(seen.change_db.begin(), seen.change_db.end()));
  const double most = *std::max_element(seen.change_db.begin(), seen.change_db.end());
  const Scale decibels = {.from = kRoundDecibels * std::floor(least / kRoundDecibels - 0.5),
                          .to = kRoundDecibels * std::ceil(std::max(most, 1.0) / kRoundDecibels),
                          .title = "energy, dB of all levels'"};
  Axes axes(canvas, kChangesBox, decibels, level_scale(seen));
  axes.title("what each level changes in the sound");
  for (int level = 0; level < seen.levels; ++level) {
    const double change = seen.change_db[static_cast<std::size_t>(level)];
    const double top = axes.y(level - 0.4);
    const double right = axes.x(std::max(change, decibels.from));
    canvas.fill({.left = kChangesBox.left,
                 .top = top,
                 .width = right - kChangesBox.left,
                 .height = axes.y(level + 0.4) - top},
                kDecoded);
  }
  axes.draw(6, 16);
}

std::string describe(const Observation& seen) {
  std::string text = "Above: the waveforms of the original and of what " + level_text(seen.levels) +
                     " decode to. Middle: spectrograms of the original";
  for (std::size_t i = 1; i < seen.spectrograms.size(); ++i) {
    text += (i + 1 == seen.spectrograms.size() ? " and of " : ", of ") +
            level_text(seen.spectrograms[i].levels);
  }
  return text +
         ". Below: the tokens, levels by frames, and the energy of what each level changes in the "
         "decoded sound.";
}

}  // namespace

std::vector<std::uint8_t> draw_figure(const Observation& seen, const std::string& title,
                                      PictureFormat format) {
  Canvas canvas(kWidth, kHeight, format);
  canvas.text({kWidth / 2.0, 32}, title, {.size = 20, .anchor = Anchor::kCentre});
  draw_waveforms(canvas, seen);
  draw_spectrograms(canvas, seen);
  draw_tokens(canvas, seen);
  draw_changes(canvas, seen);
  return canvas.finish(title, describe(seen));
}

}  // namespace mimi::cli
