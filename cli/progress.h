// A line on the terminal that shows how far the work is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace mimi::cli {

struct ProgressOptions {
  std::string name;                    // what is worked on
  std::optional<double> total_s = {};  // seconds of audio in all, where known
  bool quiet = false;
};

// Shows itself on standard error, if that is a terminal, when the work has lasted a second; goes
// away with its owner.
class Progress {
 public:
  explicit Progress(const ProgressOptions& options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Seconds of audio done so far.
  void update(double done_s);

 private:
  using Clock = std::chrono::steady_clock;

  ProgressOptions options_;
  bool enabled_;
  bool shown_ = false;
  Clock::time_point start_;
  Clock::time_point next_;
};

// The line for `done_s` seconds of audio in `elapsed_s`, no wider than `columns`.
std::string progress_line(const ProgressOptions& options, double done_s, double elapsed_s,
                          int columns);

// 75 -> "1:15", 3675 -> "1:01:15".
std::string clock_text(double seconds);
// Of the terminal on standard error; 80 where that is none.
int terminal_columns();

}  // namespace mimi::cli
