// What pictures are drawn on: cairo, as PNG or SVG.
#pragma once

#include <cairo.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/plot/colour_map.h"

namespace mimi::cli {

enum class PictureFormat { kPng, kSvg };

struct Point {
  double x, y;
};

struct Box {
  double left, top, width, height;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

enum class Anchor { kLeft, kCentre, kRight };

struct TextStyle {
  double size = 13;
  Anchor anchor = Anchor::kLeft;
  bool upwards = false;  // turned to be read from below
};

// Pixels are numbers 0xffRRGGBB, [rows x columns], the top row first.
struct Pixels {
  int columns, rows;
  std::vector<std::uint32_t> values;
};

class Canvas {
 public:
  // In pixels; white.
  Canvas(int width, int height, PictureFormat format);
  ~Canvas();
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  void fill(const Box& box, const Colour& colour);
  void fill(std::span<const Point> corners, const Colour& colour, double opacity);
  void line(const Point& from, const Point& to, const Colour& colour);
  void frame(const Box& box, const Colour& colour);
  // Each pixel a rectangle of one colour, where there is room for all rows.
  void image(const Box& box, const Pixels& pixels);
  // `at` is on the middle of the text's height.
  void text(const Point& at, const std::string& text, const TextStyle& style);

  // The file. An SVG says `title` and `description` to those who cannot see it. Throws mimi::Error.
  std::vector<std::uint8_t> finish(const std::string& title, const std::string& description);

 private:
  void set_colour(const Colour& colour, double opacity = 1);

  PictureFormat format_;
  std::vector<std::uint8_t> bytes_;
  cairo_surface_t* surface_;
  cairo_t* cairo_;
};

}  // namespace mimi::cli
