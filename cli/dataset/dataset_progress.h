// How far the work on a dataset is: a line on the terminal, or JSON for programs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace mimi::cli {

struct DatasetProgressOptions {
  std::string verb;    // for the summary: "tokenized"
  std::string errors;  // where the failures are told, for the summary
  int workers = 1;
  bool json = false;  // lines on standard output
  bool quiet = false;
};

struct DatasetFigures {
  std::uint64_t rows = 0;
  std::uint64_t done = 0, failed = 0, skipped = 0;
  std::uint64_t failed_before = 0;     // of those skipped
  double audio_s = 0;                  // done by this process
  std::optional<double> audio_left_s;  // as far as can be told

  bool some_failed() const { return failed + failed_before > 0; }
};

class DatasetProgress {
 public:
  explicit DatasetProgress(const DatasetProgressOptions& options);
  ~DatasetProgress();
  DatasetProgress(const DatasetProgress&) = delete;
  DatasetProgress& operator=(const DatasetProgress&) = delete;

  // Shows the figures when it is time to.
  void update(const DatasetFigures& figures);
  // Says what was done, once, at the end.
  void finish(const DatasetFigures& figures);

 private:
  using Clock = std::chrono::steady_clock;
  double elapsed_s() const;
  void clear_line();

  DatasetProgressOptions options_;
  bool on_terminal_;
  bool is_shown_ = false;
  Clock::time_point start_;
  Clock::time_point next_;
};

// "1204 of 10000 files  3.21 h  151.0 x real time  2 errors  1:02:11 left"
std::string dataset_progress_line(const DatasetFigures& figures, double elapsed_s);

}  // namespace mimi::cli
