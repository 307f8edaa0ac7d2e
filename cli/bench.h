// Measures the codec on this machine, beside what the machine could do at most.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/codec.h"

namespace mimi::cli {

struct BenchPlan {
  int levels = 8;
  int streams = 1;  // measured together too where more than one
  int runs = 5;     // counted, after one that warms up
  std::vector<int> threads;
  double clock_hz = 0;
  Window window = Window::kOffline;
};

// Multiply-adds in registers alone, the best of several short runs.
struct PeakFigures {
  Dtype dtype;
  int threads;
  double flop_per_second;
  double flop_per_cycle;  // of one thread; the cycle is timed by a chain of dependent additions
};

// One direction over the whole recording.
struct SpeedFigures {
  Dtype dtype;
  std::string direction;  // "encode" or "decode"
  int threads;
  double median_seconds, best_seconds;
  CodecCost cost;  // of the median run
};

// One direction, one frame a call.
struct LatencyFigures {
  Dtype dtype;
  std::string direction;
  int threads;
  int frames;
  double median_seconds, p99_seconds;
};

// Of one or several dtypes.
// Several streams advanced together, a frame of each a call.
struct StreamsFigures {
  Dtype dtype;
  std::string direction;
  int threads;
  int streams;
  double times_real_time;  // of all streams together, in the median run
  double share_of_whole;   // of the same codec's speed on a whole recording
};

struct BenchFigures {
  std::vector<PeakFigures> peaks;
  std::vector<SpeedFigures> speeds;
  std::vector<LatencyFigures> latencies;
  std::vector<StreamsFigures> streams;
};

// Adds what `model` does in its dtype. `samples` is at the model's rate.
void run_benchmarks(const Model& model, std::span<const float> samples, const BenchPlan& plan,
                    BenchFigures& figures);

// Something like a voice: harmonics of a gliding pitch under moving formants, and pauses.
std::vector<float> synthesize_voice(int rate_hz, double seconds);

}  // namespace mimi::cli
