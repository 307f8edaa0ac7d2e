#include "cli/plot/canvas.h"

#include <cairo-svg.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <numbers>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr double kLineWidth = 1;

// No exception may pass through a library in C.
cairo_status_t append(void* bytes, const unsigned char* data, unsigned int size) {
  auto& all = *static_cast<std::vector<std::uint8_t>*>(bytes);
  try {
    all.insert(all.end(), data, data + size);
  } catch (const std::exception&) {
    return CAIRO_STATUS_NO_MEMORY;
  }
  return CAIRO_STATUS_SUCCESS;
}

void check(cairo_status_t status) {
  if (status == CAIRO_STATUS_SUCCESS) return;
  throw Error(std::string("cannot be drawn: ") + cairo_status_to_string(status));
}

cairo_surface_t* make_surface(int width, int height, PictureFormat format,
                              std::vector<std::uint8_t>& bytes) {
  if (format == PictureFormat::kSvg) {
    return cairo_svg_surface_create_for_stream(append, &bytes, width, height);
  }
  return cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Behind the opening tag, where SVG has them; cairo does not write them.
void insert_titles(std::vector<std::uint8_t>& svg, const std::string& title,
                   const std::string& description) {
  const std::string_view text(reinterpret_cast<const char*>(svg.data()), svg.size());
  const std::size_t tag_end = text.find('>', text.find("<svg"));
  const std::string titles =
      "\n<title>" + escaped(title) + "</title>\n<desc>" + escaped(description) + "</desc>";
  svg.insert(svg.begin() + static_cast<std::ptrdiff_t>(tag_end) + 1, titles.begin(), titles.end());
}

}  // namespace

Canvas::Canvas(int width, int height, PictureFormat format)
    : format_(format),
      surface_(make_surface(width, height, format, bytes_)),
      cairo_(cairo_create(surface_)) {
  fill({.left = 0, .top = 0, .width = 1.0 * width, .height = 1.0 * height}, {1, 1, 1});
  cairo_set_line_width(cairo_, kLineWidth);
  cairo_select_font_face(cairo_, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

Canvas::~Canvas() {
  cairo_destroy(cairo_);
  cairo_surface_destroy(surface_);
}

void Canvas::set_colour(const Colour& colour, double opacity) {
  cairo_set_source_rgba(cairo_, colour.red, colour.green, colour.blue, opacity);
}

void Canvas::fill(const Box& box, const Colour& colour) {
  set_colour(colour);
  cairo_rectangle(cairo_, box.left, box.top, box.width, box.height);
  cairo_fill(cairo_);
}

void Canvas::fill(std::span<const Point> corners, const Colour& colour, double opacity) {
  set_colour(colour, opacity);
  cairo_new_path(cairo_);  // text has left a point
  for (const Point& corner : corners) cairo_line_to(cairo_, corner.x, corner.y);
  cairo_close_path(cairo_);
  cairo_fill(cairo_);
}

void Canvas::line(const Point& from, const Point& to, const Colour& colour) {
  set_colour(colour);
  cairo_move_to(cairo_, from.x, from.y);
  cairo_line_to(cairo_, to.x, to.y);
  cairo_stroke(cairo_);
}

void Canvas::frame(const Box& box, const Colour& colour) {
  set_colour(colour);
  cairo_rectangle(cairo_, box.left, box.top, box.width, box.height);
  cairo_stroke(cairo_);
}

void Canvas::image(const Box& box, const Pixels& pixels) {
  cairo_surface_t* picture =
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, pixels.columns, pixels.rows);
  if (cairo_surface_status(picture) == CAIRO_STATUS_SUCCESS) {
    const auto row_pixels = static_cast<std::size_t>(pixels.columns);
    for (int row = 0; row < pixels.rows; ++row) {
      std::memcpy(cairo_image_surface_get_data(picture) +
                      std::ptrdiff_t{row} * cairo_image_surface_get_stride(picture),
                  pixels.values.data() + static_cast<std::size_t>(row) * row_pixels,
                  row_pixels * sizeof(std::uint32_t));
    }
    cairo_surface_mark_dirty(picture);
  }
  cairo_save(cairo_);
  cairo_translate(cairo_, box.left, box.top);
  cairo_scale(cairo_, box.width / pixels.columns, box.height / pixels.rows);
  cairo_set_source_surface(cairo_, picture, 0, 0);
  // Where there are more rows than room, the best filter takes means.
  cairo_pattern_set_filter(cairo_get_source(cairo_),
                           pixels.rows > box.height ? CAIRO_FILTER_BEST : CAIRO_FILTER_NEAREST);
  cairo_rectangle(cairo_, 0, 0, pixels.columns, pixels.rows);
  cairo_fill(cairo_);
  cairo_restore(cairo_);
  cairo_surface_destroy(picture);
}

void Canvas::text(const Point& at, const std::string& text, const TextStyle& style) {
  set_colour({0.1, 0.1, 0.1});
  cairo_set_font_size(cairo_, style.size);
  cairo_text_extents_t extents;
  cairo_text_extents(cairo_, text.c_str(), &extents);
  const double share = style.anchor == Anchor::kLeft     ? 0
                       : style.anchor == Anchor::kCentre ? 0.5
                                                         : 1;
  cairo_save(cairo_);
  cairo_translate(cairo_, at.x, at.y);
  if (style.upwards) cairo_rotate(cairo_, -std::numbers::pi / 2);
  // A third of the size is half the height of a digit.
  cairo_move_to(cairo_, -share * extents.x_advance, 0.35 * style.size);
  cairo_show_text(cairo_, text.c_str());
  cairo_restore(cairo_);
}

std::vector<std::uint8_t> Canvas::finish(const std::string& title, const std::string& description) {
  check(cairo_status(cairo_));
  if (format_ == PictureFormat::kPng) {
    check(cairo_surface_write_to_png_stream(surface_, append, &bytes_));
  }
  cairo_surface_finish(surface_);
  check(cairo_surface_status(surface_));
  if (format_ == PictureFormat::kSvg) insert_titles(bytes_, title, description);
  return std::move(bytes_);
}

}  // namespace mimi::cli
