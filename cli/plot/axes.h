// A panel of a figure: a box with scales, titles and marks.
#pragma once

#include <string>
#include <vector>

#include "cli/plot/canvas.h"

namespace mimi::cli {

struct Scale {
  double from, to;        // values at the axis's beginning and end
  std::string title;      // with the unit; empty: neither title nor numbers
  double least_step = 0;  // between numbers: 1 where there is nothing between whole ones
};

// 1, 2 or 5 times a power of ten apart, within the scale, at most `most` of them.
std::vector<double> ticks(const Scale& scale, int most);
// With as many decimals as the step between them needs, or as 1e+06 where it is long.
std::vector<std::string> tick_texts(const std::vector<double>& values);

class Axes {
 public:
  Axes(Canvas& canvas, const Box& box, Scale x, Scale y);

  const Box& box() const { return box_; }
  double x(double value) const;
  double y(double value) const;

  void title(const std::string& text);
  // At most so many numbers along each axis, and the frame.
  void draw(int most_x, int most_y);

 private:
  void draw_x(int most);
  void draw_y(int most);

  Canvas& canvas_;
  Box box_;
  Scale x_, y_;
};

// A bar right of `box` that says which colours stand for which values.
void colour_bar(Canvas& canvas, const Box& box, const Scale& scale);

}  // namespace mimi::cli
