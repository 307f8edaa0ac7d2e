#include "cli/bench.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "cli/machine_limits.h"
#include "core/model.h"
#include "kernels/dispatch.h"

namespace mimi::cli {
namespace {

// The value below which `share` of the (sorted) values lie.
double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::lround(share * last))];
}

PeakFigures measure_peak(const Model& model, int threads, double clock_hz) {
  const double peak = measure_multiply_add_peak(kernels::select(model.isa()),
                                                kernels_dtype(model.info().dtype), threads);
  return {model.info().dtype, threads, peak, peak / threads / clock_hz};
}

struct Run {
  double seconds;
  CodecCost cost;
};

// `run` gives one Run.
template <typename Body>
SpeedFigures measure_speed(Dtype dtype, const std::string& direction, int threads, int runs,
                           Body run) {
  run();  // warms up
  std::vector<Run> all;
  for (int i = 0; i < runs; ++i) all.push_back(run());
  const auto quicker = [](const Run& a, const Run& b) { return a.seconds < b.seconds; };
  std::sort(all.begin(), all.end(), quicker);
  const Run& median = all[all.size() / 2];
  return {dtype, direction, threads, median.seconds, all.front().seconds, median.cost};
}

Run encode_whole(const Model& model, const EncoderOptions& options, std::span<const float> samples,
                 std::vector<std::uint16_t>& codes) {
  codes.clear();
  Encoder encoder(model, options);
  const double seconds = seconds_of([&] {
    encoder.push(samples, codes);
    encoder.finish(codes);
  });
  return {seconds, encoder.cost()};
}

Run decode_whole(const Model& model, const DecoderOptions& options,
                 std::span<const std::uint16_t> codes) {
  std::vector<float> decoded;
  decoded.reserve(codes.size() / options.levels.size() *
                  static_cast<std::size_t>(model.info().frame_samples));
  Decoder decoder(model, options);
  const double seconds = seconds_of([&] { decoder.push(codes, decoded); });
  return {seconds, decoder.cost()};
}

// Pushes one frame after the other through `push`, the first ones uncounted.
template <typename Push>
LatencyFigures measure_latency(Dtype dtype, const std::string& direction, int threads, int frames,
                               Push push) {
  const int warm_up = std::min(frames / 4, 50);
  std::vector<double> seconds;
  for (int frame = 0; frame < frames; ++frame) {
    const double taken = seconds_of([&] { push(static_cast<std::size_t>(frame)); });
    if (frame >= warm_up) seconds.push_back(taken);
  }
  return {dtype,
          direction,
          threads,
          static_cast<int>(seconds.size()),
          percentile(seconds, 0.5),
          percentile(seconds, 0.99)};
}

// Everything that a run over several streams needs.
struct StreamsRun {
  const Model& model;
  int streams, levels, frames;
  StreamOptions options;
};

double encode_together(const StreamsRun& run, std::span<const float> samples) {
  const auto frame = static_cast<std::size_t>(run.model.info().frame_samples);
  std::vector<Encoder> encoders;
  std::vector<std::vector<std::uint16_t>> codes(static_cast<std::size_t>(run.streams));
  for (int i = 0; i < run.streams; ++i) {
    encoders.emplace_back(run.model, EncoderOptions{.levels = run.levels, .stream = run.options});
  }
  return seconds_of([&] {
    std::vector<EncoderPush> pushes(codes.size());
    for (std::size_t t = 0; t < static_cast<std::size_t>(run.frames); ++t) {
      for (std::size_t i = 0; i < pushes.size(); ++i) {
        pushes[i] = {&encoders[i], samples.subspan(t * frame, frame), &codes[i]};
      }
      push_together(pushes);
    }
  });
}

double decode_together(const StreamsRun& run, std::span<const std::uint16_t> codes) {
  const auto levels = static_cast<std::size_t>(run.levels);
  std::vector<Decoder> decoders;
  std::vector<std::vector<float>> samples(static_cast<std::size_t>(run.streams));
  for (int i = 0; i < run.streams; ++i) {
    decoders.emplace_back(
        run.model, DecoderOptions{.levels = first_levels(run.levels), .stream = run.options});
  }
  return seconds_of([&] {
    std::vector<DecoderPush> pushes(samples.size());
    for (std::size_t t = 0; t < static_cast<std::size_t>(run.frames); ++t) {
      for (std::size_t i = 0; i < pushes.size(); ++i) {
        samples[i].clear();
        pushes[i] = {&decoders[i], codes.subspan(t * levels, levels), &samples[i]};
      }
      push_together(pushes);
    }
  });
}

// `whole` is what the same codec does with a whole recording; `run` gives seconds.
template <typename Run>
StreamsFigures measure_streams(const StreamsRun& streams, const SpeedFigures& whole,
                               double whole_seconds, int runs, Run run) {
  run();  // warms up
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(run());
  const ModelInfo& info = streams.model.info();
  const double audio_seconds =
      static_cast<double>(streams.streams) * streams.frames * info.frame_samples / info.sample_rate;
  const double speed = audio_seconds / percentile(seconds, 0.5);
  return {info.dtype,      whole.direction, streams.options.threads,
          streams.streams, speed,           speed / (whole_seconds / whole.median_seconds)};
}

}  // namespace

void run_benchmarks(const Model& model, std::span<const float> samples, const BenchPlan& plan,
                    BenchFigures& figures) {
  const Dtype dtype = model.info().dtype;
  const auto frame_samples = static_cast<std::size_t>(model.info().frame_samples);
  const auto levels = static_cast<std::size_t>(plan.levels);
  std::vector<std::uint16_t> codes;
  for (const int threads : plan.threads) {
    figures.peaks.push_back(measure_peak(model, threads, plan.clock_hz));
    const StreamOptions stream = {.window = plan.window, .threads = threads};
    const EncoderOptions encode = {.levels = plan.levels, .stream = stream};
    const DecoderOptions decode = {.levels = first_levels(plan.levels), .stream = stream};
    figures.speeds.push_back(measure_speed(dtype, "encode", threads, plan.runs, [&] {
      return encode_whole(model, encode, samples, codes);
    }));
    figures.speeds.push_back(measure_speed(dtype, "decode", threads, plan.runs,
                                           [&] { return decode_whole(model, decode, codes); }));

    const double audio_seconds = static_cast<double>(samples.size()) / model.info().sample_rate;
    if (plan.streams > 1) {
      constexpr std::size_t kMostFrames = 25;
      const StreamsRun run = {
          model, plan.streams, plan.levels,
          static_cast<int>(std::min(samples.size() / frame_samples, kMostFrames)), stream};
      const SpeedFigures encoded = figures.speeds[figures.speeds.size() - 2];
      figures.streams.push_back(measure_streams(run, encoded, audio_seconds, plan.runs,
                                                [&] { return encode_together(run, samples); }));
      figures.streams.push_back(measure_streams(run, figures.speeds.back(), audio_seconds,
                                                plan.runs,
                                                [&] { return decode_together(run, codes); }));
    }

    const int frames = static_cast<int>(std::min(codes.size() / levels, std::size_t{500}));
    // The codes have a frame for the padded end too; whole frames of samples are what is timed.
    const int whole = std::min(frames, static_cast<int>(samples.size() / frame_samples));
    Encoder encoder(model, encode);
    std::vector<std::uint16_t> frame_codes;
    figures.latencies.push_back(
        measure_latency(dtype, "encode", threads, whole, [&](std::size_t frame) {
          frame_codes.clear();
          encoder.push(samples.subspan(frame * frame_samples, frame_samples), frame_codes);
        }));
    Decoder decoder(model, decode);
    std::vector<float> frame_audio;
    figures.latencies.push_back(
        measure_latency(dtype, "decode", threads, frames, [&](std::size_t frame) {
          frame_audio.clear();
          decoder.push(std::span(codes).subspan(frame * levels, levels), frame_audio);
        }));
  }
}

std::vector<float> synthesize_voice(int rate_hz, double seconds) {
  constexpr double kTurn = 2 * std::numbers::pi;
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate_hz));
  double phase = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i) / rate_hz;
    const double pitch_hz = 130 + 30 * std::sin(kTurn * 0.7 * t);
    const double formant_hz = 900 + 500 * std::sin(kTurn * 1.9 * t);
    phase += kTurn * pitch_hz / rate_hz;
    double value = 0;
    for (int harmonic = 1; harmonic <= 12; ++harmonic) {
      const double distance = (harmonic * pitch_hz - formant_hz) / 400;
      value += std::exp(-distance * distance) * std::sin(harmonic * phase);
    }
    const double loudness = std::max(0.0, std::sin(kTurn * 2.3 * t) + 0.4);
    samples[i] = static_cast<float>(0.08 * loudness * value);
  }
  return samples;
}

}  // namespace mimi::cli
