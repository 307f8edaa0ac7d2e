#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/printable.h"

namespace mimi::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstAfter = 1s;
constexpr auto kInterval = 100ms;
constexpr int kBarCells = 20;

std::string formatted(const char* format, auto... values) {
  char text[64];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

}  // namespace

Progress::Progress(const ProgressOptions& options)
    : options_(options),
      enabled_(!options.quiet && isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + kFirstAfter) {
  options_.name = printable(options.name);
}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::update(double done_s) {
  const Clock::time_point now = Clock::now();
  if (!enabled_ || now < next_) return;
  next_ = now + kInterval;
  shown_ = true;
  const double elapsed_s = std::chrono::duration<double>(now - start_).count();
  // The last column stays free: some terminals wrap when it is filled.
  const std::string line = progress_line(options_, done_s, elapsed_s, terminal_columns() - 1);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
}

std::string progress_line(const ProgressOptions& options, double done_s, double elapsed_s,
                          int columns) {
  const double speed = elapsed_s > 0 ? done_s / elapsed_s : 0;
  std::string figures = "  " + clock_text(done_s);
  if (options.total_s && *options.total_s > 0) {
    const double share = std::clamp(done_s / *options.total_s, 0.0, 1.0);
    const auto cells = static_cast<std::size_t>(std::lround(share * kBarCells));
    figures = "  [" + std::string(cells, '#') + std::string(kBarCells - cells, '.') + "]" +
              formatted(" %3.0f %%", std::floor(100 * share));
  }
  figures += formatted("  %.1f x real time", speed);
  if (options.total_s && speed > 0) {
    figures += "  " + clock_text(std::max(0.0, *options.total_s - done_s) / speed) + " left";
  }
  const auto width = static_cast<std::size_t>(std::max(columns, 0));
  const std::size_t room = width > figures.size() ? width - figures.size() : 0;
  return options.name.substr(0, room) + figures.substr(0, width);
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds, 1e9));
  if (whole < 3600) return formatted("%lld:%02lld", whole / 60, whole % 60);
  return formatted("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

int terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace mimi::cli
