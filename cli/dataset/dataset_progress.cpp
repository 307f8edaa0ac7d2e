#include "cli/dataset/dataset_progress.h"

#include <unistd.h>

#include <cstdio>

#include "cli/dataset/row.h"
#include "cli/jobs.h"
#include "cli/progress.h"
#include "cli/standard_output.h"

namespace mimi::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kTerminalInterval = 200ms;
constexpr auto kJsonInterval = 1s;

std::string formatted(const char* format, auto... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

double speed(const DatasetFigures& figures, double elapsed_s) {
  return elapsed_s > 0 ? figures.audio_s / elapsed_s : 0;
}

Json figures_json(const char* event, const DatasetFigures& figures, double elapsed_s) {
  Json json = {{"event", event},
               {"rows", figures.rows},
               {"done", figures.done},
               {"failed", figures.failed},
               {"skipped", figures.skipped},
               {"failed_before", figures.failed_before},
               {"audio_hours", figures.audio_s / 3600},
               {"elapsed_seconds", elapsed_s},
               {"times_real_time", speed(figures, elapsed_s)}};
  if (figures.audio_left_s && figures.audio_s > 0) {
    json["seconds_left"] = *figures.audio_left_s / speed(figures, elapsed_s);
  }
  return json;
}

std::string summary_text(const DatasetProgressOptions& options, const DatasetFigures& figures,
                         double elapsed_s) {
  const auto count = [](std::uint64_t rows, const char* what) {
    return std::to_string(rows) + " " + what;
  };
  const double times_real_time = speed(figures, elapsed_s);
  std::string text = options.verb + formatted(" %.2f hours: ", figures.audio_s / 3600) +
                     count(figures.done, "done, ") + count(figures.failed, "failed, ") +
                     count(figures.skipped, "there before");
  if (figures.failed_before > 0) text += ", " + count(figures.failed_before, "of them failed");
  text += formatted("; %.1f x real time, %.1f hours a core-hour", times_real_time,
                    times_real_time / options.workers);
  return figures.some_failed() ? text + "; why: " + options.errors : text;
}

void print_json(const Json& json) {
  std::printf("%s\n", json_text(json).c_str());
  flush_output();
}

}  // namespace

DatasetProgress::DatasetProgress(const DatasetProgressOptions& options)
    : options_(options),
      on_terminal_(!options.quiet && !options.json && isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + kJsonInterval) {}

DatasetProgress::~DatasetProgress() { clear_line(); }

double DatasetProgress::elapsed_s() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void DatasetProgress::clear_line() {
  if (is_shown_) std::fputs("\r\x1b[K", stderr);
  is_shown_ = false;
}

void DatasetProgress::update(const DatasetFigures& figures) {
  if (Clock::now() < next_ || !(on_terminal_ || options_.json)) return;
  next_ = Clock::now() + (options_.json ? kJsonInterval : kTerminalInterval);
  if (options_.json) {
    print_json(figures_json("progress", figures, elapsed_s()));
    return;
  }
  const std::string line = dataset_progress_line(figures, elapsed_s());
  const auto columns = static_cast<std::size_t>(terminal_columns() - 1);
  std::fprintf(stderr, "\r%s\x1b[K", line.substr(0, columns).c_str());
  is_shown_ = true;
}

void DatasetProgress::finish(const DatasetFigures& figures) {
  clear_line();
  const double elapsed = elapsed_s();
  if (options_.json) {
    Json json = figures_json("summary", figures, elapsed);
    json["audio_hours_a_core_hour"] = speed(figures, elapsed) / options_.workers;
    print_json(json);
  } else if (!options_.quiet) {
    report(summary_text(options_, figures, elapsed));
  }
}

std::string dataset_progress_line(const DatasetFigures& figures, double elapsed_s) {
  const double now = speed(figures, elapsed_s);
  std::string line =
      formatted("%llu of %llu files  %.2f h  %.1f x real time  %llu errors",
                static_cast<unsigned long long>(figures.done + figures.failed + figures.skipped),
                static_cast<unsigned long long>(figures.rows), figures.audio_s / 3600, now,
                static_cast<unsigned long long>(figures.failed));
  if (figures.audio_left_s && now > 0)
    line += "  " + clock_text(*figures.audio_left_s / now) + " left";
  return line;
}

}  // namespace mimi::cli
