#include "cli/plot/axes.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace mimi::cli {
namespace {

constexpr Colour kInk = {0.1, 0.1, 0.1};
constexpr double kTick = 5;
constexpr double kBarGap = 12;
constexpr double kBarWidth = 14;
constexpr int kBarColours = 256;
constexpr int kBarTicks = 5;
constexpr double kLongestStep = 1e5;  // whose multiples have room with all their digits
constexpr int kShortDigits = 3;

double nice_step(double span, int most) {
  const double least = span / most;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::vector<double> ticks(const Scale& scale, int most) {
  const double low = std::min(scale.from, scale.to);
  const double high = std::max(scale.from, scale.to);
  const double step = std::max(scale.least_step, nice_step(high - low, most));
  const double slack = step * 1e-6;  // of rounding
  std::vector<double> values;
  for (double i = std::ceil((low - slack) / step); i * step <= high + slack; ++i) {
    values.push_back(i * step);
  }
  return values;
}

std::vector<std::string> tick_texts(const std::vector<double>& values) {
  const double step = values.size() > 1 ? values[1] - values[0] : 1;
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-6)));
  const bool is_long = step > kLongestStep;
  std::vector<std::string> texts;
  for (const double value : values) {
    char text[64];
    // Adding 0 makes 0 of -0.
    std::snprintf(text, sizeof text, is_long ? "%.*g" : "%.*f", is_long ? kShortDigits : decimals,
                  value + 0.0);
    texts.emplace_back(text);
  }
  return texts;
}

Axes::Axes(Canvas& canvas, const Box& box, Scale x, Scale y)
    : canvas_(canvas), box_(box), x_(std::move(x)), y_(std::move(y)) {}

double Axes::x(double value) const {
  return box_.left + box_.width * (value - x_.from) / (x_.to - x_.from);
}

double Axes::y(double value) const {
  return box_.bottom() - box_.height * (value - y_.from) / (y_.to - y_.from);
}

void Axes::title(const std::string& text) {
  canvas_.text({box_.left + box_.width / 2, box_.top - 14}, text,
               {.size = 15, .anchor = Anchor::kCentre});
}

void Axes::draw(int most_x, int most_y) {
  if (!x_.title.empty()) draw_x(most_x);
  if (!y_.title.empty()) draw_y(most_y);
  canvas_.frame(box_, kInk);
}

void Axes::draw_x(int most) {
  const std::vector<double> values = ticks(x_, most);
  const std::vector<std::string> texts = tick_texts(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at = x(values[i]);
    canvas_.line({at, box_.bottom()}, {at, box_.bottom() + kTick}, kInk);
    canvas_.text({at, box_.bottom() + 15}, texts[i], {.anchor = Anchor::kCentre});
  }
  canvas_.text({box_.left + box_.width / 2, box_.bottom() + 34}, x_.title,
               {.size = 14, .anchor = Anchor::kCentre});
}

void Axes::draw_y(int most) {
  const std::vector<double> values = ticks(y_, most);
  const std::vector<std::string> texts = tick_texts(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at = y(values[i]);
    canvas_.line({box_.left - kTick, at}, {box_.left, at}, kInk);
    canvas_.text({box_.left - 9, at}, texts[i], {.anchor = Anchor::kRight});
  }
  canvas_.text({box_.left - 58, box_.top + box_.height / 2}, y_.title,
               {.size = 14, .anchor = Anchor::kCentre, .upwards = true});
}

void colour_bar(Canvas& canvas, const Box& box, const Scale& scale) {
  const Box bar = {
      .left = box.right() + kBarGap, .top = box.top, .width = kBarWidth, .height = box.height};
  Pixels pixels{.columns = 1, .rows = kBarColours, .values = {}};
  for (int row = 0; row < kBarColours; ++row) {
    pixels.values.push_back(packed(viridis(1 - row / (kBarColours - 1.0))));
  }
  canvas.image(bar, pixels);
  canvas.frame(bar, kInk);
  const std::vector<double> values = ticks(scale, kBarTicks);
  const std::vector<std::string> texts = tick_texts(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at =
        bar.bottom() - bar.height * (values[i] - scale.from) / (scale.to - scale.from);
    canvas.line({bar.right(), at}, {bar.right() + kTick, at}, kInk);
    canvas.text({bar.right() + 9, at}, texts[i], {});
  }
  canvas.text({bar.right() + 50, box.top + box.height / 2}, scale.title,
              {.size = 14, .anchor = Anchor::kCentre, .upwards = true});
}

}  // namespace mimi::cli
