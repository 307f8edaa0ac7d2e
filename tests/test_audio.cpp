// The parts of the command line that deal with sound and with the machine.
#include <doctest/doctest.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/audio_input.h"
#include "cli/audio_sink.h"
#include "cli/bounded_queue.h"
#include "cli/level_set.h"
#include "cli/output_file.h"
#include "cli/pcm.h"
#include "cli/plot/axes.h"
#include "cli/plot/colour_map.h"
#include "cli/progress.h"
#include "cli/resampler.h"
#include "cli/system_limits.h"
#include "cli/usage_error.h"
#include "cli/wav_header.h"
#include "core/error.h"
#include "tests/files.h"

namespace {

namespace fs = std::filesystem;
using namespace mimi::cli;
using mimi::test::TempDir;

std::vector<float> sine(int rate_hz, double frequency_hz, std::size_t samples) {
  std::vector<float> wave(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    const double phase = 2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / rate_hz;
    wave[i] = static_cast<float>(std::sin(phase));
  }
  return wave;
}

std::vector<float> resample(std::span<const float> samples, int from_hz, int to_hz,
                            std::size_t push_samples) {
  Resampler resampler(from_hz, to_hz, 1, ResamplerQuality::kBest);
  std::vector<float> out;
  for (std::size_t i = 0; i < samples.size(); i += push_samples) {
    resampler.push(samples.subspan(i, std::min(push_samples, samples.size() - i)), out);
    const auto pushed = static_cast<std::int64_t>(std::min(i + push_samples, samples.size()));
    // Never ahead of the length that an end here would ask for.
    REQUIRE(static_cast<std::int64_t>(out.size()) <= resampled_length(pushed, from_hz, to_hz));
  }
  const auto count = static_cast<std::int64_t>(samples.size());
  resampler.finish(resampled_length(count, from_hz, to_hz), out);
  return out;
}

}  // namespace

TEST_CASE("resampled lengths are rounded, a half upwards, and never nothing") {
  CHECK(resampled_length(0, 44100, 24000) == 0);
  CHECK(resampled_length(1, 96000, 24000) == 1);
  CHECK(resampled_length(2, 96000, 24000) == 1);
  CHECK(resampled_length(6, 96000, 24000) == 2);  // 1.5
  CHECK(resampled_length(5, 96000, 24000) == 1);
  CHECK(resampled_length(1, 8000, 24000) == 3);
  CHECK(resampled_length(441, 44100, 24000) == 240);
  CHECK(resampled_length(std::int64_t{1} << 52, 44100, 44100) == std::int64_t{1} << 52);
  CHECK(resampled_length(std::int64_t{1} << 52, 1, 256) == std::int64_t{1} << 60);
}

TEST_CASE("resampling has no delay, whatever the pushes") {
  for (const auto& rates :
       {std::pair{8000, 24000}, {44100, 24000}, {24000, 44100}, {96000, 24000}, {24000, 8000}}) {
    const auto from_hz = rates.first, to_hz = rates.second;
    CAPTURE(from_hz);
    CAPTURE(to_hz);
    const auto samples = static_cast<std::size_t>(from_hz) / 2 + 1;
    const std::vector<float> in = sine(from_hz, 440, samples);
    const std::vector<float> out = resample(in, from_hz, to_hz, 1000);
    CHECK(static_cast<std::int64_t>(out.size()) ==
          resampled_length(static_cast<std::int64_t>(samples), from_hz, to_hz));
    CHECK(out == resample(in, from_hz, to_hz, 17));
    const std::vector<float> wanted = sine(to_hz, 440, out.size());
    for (std::size_t i = out.size() / 4; i < 3 * out.size() / 4; ++i) {
      REQUIRE(out[i] == doctest::Approx(wanted[i]).epsilon(1e-4));
    }
  }
  CHECK_FALSE(Resampler::supports(93, 24000));
  CHECK(Resampler::supports(94, 24000));
}

TEST_CASE("quantising rounds, clips and counts") {
  std::int64_t clipped = 0;
  CHECK(quantize(0.5F, 16, clipped) == 16384);
  CHECK(quantize(-1, 16, clipped) == -32768);
  CHECK(quantize(1, 16, clipped) == 32767);
  CHECK(quantize(1.5F / 32768, 16, clipped) == 2);
  CHECK(quantize(0.5F / 32768, 16, clipped) == 0);
  CHECK(clipped == 0);
  CHECK(quantize(1.01F, 16, clipped) == 32767);
  CHECK(quantize(-3e38F, 24, clipped) == -(1 << 23));
  CHECK(quantize(std::numeric_limits<float>::infinity(), 24, clipped) == (1 << 23) - 1);
  CHECK(clipped == 3);
}

TEST_CASE("samples survive their bytes") {
  const std::vector<float> samples = {0, 0.25F, -0.25F, -1, 127.0F / 128};
  for (const SampleFormat format : {SampleFormat::kS16, SampleFormat::kS24, SampleFormat::kF32}) {
    std::vector<std::uint8_t> bytes;
    std::int64_t clipped = 0;
    encode_pcm(format, samples, bytes, clipped);
    CHECK(clipped == 0);
    const PcmEncoding encoding = encoding_of(format);
    REQUIRE(bytes.size() == samples.size() * static_cast<std::size_t>(bytes_per_sample(encoding)));
    std::vector<float> back(samples.size());
    decode_pcm(encoding, bytes, back);
    CHECK(back == samples);
  }
}

TEST_CASE("the mean of channels at full range does not overflow") {
  const float most = std::numeric_limits<float>::max();
  std::vector<float> mixed;
  choose_channels(std::vector<float>{most, most, 1, 2}, 2, {}, mixed);
  CHECK(mixed == std::vector<float>{most, 1.5F});
}

TEST_CASE("level sets") {
  CHECK(parse_levels("4").count == 4);
  CHECK(parse_levels("3-3").levels == std::vector<int>{3});
  CHECK(parse_levels("5,0,2-3").levels == std::vector<int>{0, 2, 3, 5});
  for (const char* wrong : {"", "0", "x", "1,", ",1", "1-", "-1", "1--2", "2-1", "1,1", "1-3,2",
                            "4 ", "+4", "1.5", "99999999999", "0-99999"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_levels(wrong), UsageError);
  }
}

// 30000 samples at 24 kHz, by libsndfile in one of its formats.
void write_sound(const std::string& path, int format) {
  SF_INFO info{};
  info.samplerate = 24000;
  info.channels = 1;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  const std::vector<float> wave = sine(24000, 440, 30000);
  CHECK(sf_write_float(file, wave.data(), 30000) == 30000);
  REQUIRE(sf_close(file) == 0);
}

TEST_CASE("the length of a compressed WAV is checked, which libsndfile does not") {
  const TempDir folder;
  const std::string path = folder / "adpcm.wav";
  write_sound(path, SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM);

  std::vector<float> read(100000);
  CHECK(open_audio_source(path, {})->read(read) >= 30000);
  fs::resize_file(path, fs::file_size(path) - 1000);
  CHECK_THROWS_AS(open_audio_source(path, {}), mimi::Error);
}

TEST_CASE("skipping leads to the samples that reading leads to, where libsndfile cannot seek too") {
  const TempDir folder;
  const std::string path = folder / "gsm.wav";
  write_sound(path, SF_FORMAT_WAV | SF_FORMAT_GSM610);

  std::vector<float> whole(100000), part(100000);
  whole.resize(open_audio_source(path, {})->read(whole));
  REQUIRE(whole.size() >= 30000);
  const auto source = open_audio_source(path, {});
  source->skip(12345);
  part.resize(source->read(part));
  CHECK(std::ranges::equal(part, std::span(whole).subspan(12345)));
  CHECK_THROWS_AS(open_audio_source(path, {})->skip(40000), mimi::Error);
}

TEST_CASE("a part may end a little after the end of a file whose length is a guess") {
  const TempDir folder;
  const std::string path = folder / "a.mp3";
  write_sound(path, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III);

  std::vector<float> read(100000);
  const auto length = open_audio_source(path, {})->read(read);
  REQUIRE(length >= 30000);
  const auto source = open_audio_source(path, {});
  source->skip(10000);
  source->end_after(static_cast<std::int64_t>(length) - 10000 + 240);
  CHECK(source->read(read) == length - 10000);
  CHECK(source->read(read) == 0);
}

TEST_CASE("no sound is passed over that is not there") {
  const TempDir folder;
  for (const int format : {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_16}) {
    const std::string path = folder / "a";
    write_sound(path, format);
    const std::int64_t frames = open_audio_source(path, {})->frames().value();
    const auto source = open_audio_source(path, {});
    source->skip(frames);
    CHECK_THROWS_AS(source->skip(1), mimi::Error);
    CHECK_THROWS_AS(open_audio_source(path, {})->skip(frames + 1), mimi::Error);
    const auto part = open_audio_source(path, {});
    part->end_after(100);
    CHECK_THROWS_AS(part->skip(101), mimi::Error);
  }
}

TEST_CASE("colours and numbers of values beyond all bounds") {
  CHECK(packed(viridis(std::numeric_limits<double>::quiet_NaN())) == packed(viridis(0)));
  CHECK(packed(viridis(-std::numeric_limits<double>::infinity())) == packed(viridis(0)));
  CHECK(packed(viridis(std::numeric_limits<double>::infinity())) == packed(viridis(1)));
  CHECK(tick_texts({-1, 0, 1}) == std::vector<std::string>{"-1", "0", "1"});
  CHECK(tick_texts({0, 0.5, 1}) == std::vector<std::string>{"0.0", "0.5", "1.0"});
  CHECK(tick_texts({-2e38, 0, 2e38}) == std::vector<std::string>{"-2e+38", "0", "2e+38"});
}

TEST_CASE("a WAV that will be beyond 4 GiB has sizes of 64 bits, others have 32") {
  const TempDir folder;
  const std::vector<float> wave = sine(24000, 440, 2001);
  for (const SampleFormat format : {SampleFormat::kS24, SampleFormat::kF32}) {
    for (const double expected_s : {0.0, 40000.0, 90000.0}) {
      const std::string path = folder / "long.wav";
      const auto sink =
          open_audio_sink({.path = path, .force = true}, {.sample = format}, 24000, 1, expected_s);
      sink->write(wave);
      sink->finish();
      SF_INFO info{};
      SNDFILE* file = sf_open(path.c_str(), SFM_READ, &info);
      REQUIRE(file != nullptr);
      CHECK((info.format & SF_FORMAT_TYPEMASK) ==
            (expected_s == 90000.0 ? SF_FORMAT_RF64 : SF_FORMAT_WAV));
      CHECK(info.frames == 2001);
      std::vector<float> theirs(2001);
      CHECK(sf_readf_float(file, theirs.data(), 2001) == 2001);
      CHECK(sf_close(file) == 0);

      std::vector<float> ours(3000);
      ours.resize(open_audio_source(path, {})->read(ours));
      CHECK(ours == theirs);
    }
  }
}

TEST_CASE("the header of a long WAV tells its sizes") {
  const std::int64_t bytes = 5'000'000'003;
  const auto header = wav_header(SampleFormat::kS24, 24000, 1, WavForm::kRf64, bytes);
  const auto field = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) value = value << 8 | header.at(at + i);
    return value;
  };
  CHECK(header.size() == 80);
  CHECK(field(20) == 80 - 8 + 5'000'000'004);
  CHECK(field(28) == 5'000'000'003);
  CHECK(field(36) == 5'000'000'003 / 3);
  CHECK(wav_form(4e9) == WavForm::kRiff);
  CHECK(wav_form(5e9) == WavForm::kRf64);
}

TEST_CASE("an output file is whole or not there") {
  const TempDir folder;
  const std::string path = folder / "out";
  const std::vector<std::uint8_t> bytes(200000, 7);
  {
    OutputFile file(path, false);
    file.write(bytes);
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(fs::is_empty(folder.path()));
  OutputFile file(path, false);
  file.write(std::span(bytes).first(10));
  file.write(bytes);
  file.overwrite(5, std::vector<std::uint8_t>{1, 2});
  file.commit();
  CHECK(fs::file_size(path) == 200010);
  CHECK(mimi::test::read_file(path).substr(0, 8) == "\7\7\7\7\7\1\2\7");
  CHECK_THROWS_AS(OutputFile(path, false), mimi::Error);
}

TEST_CASE("control groups limit the number of threads") {
  const TempDir folder;
  const auto put = [&folder](const std::string& name, const std::string& text) {
    mimi::test::write_file(folder.path() / name, text);
  };
  CHECK_FALSE(cgroup_cpu_limit(folder.path()).has_value());

  SUBCASE("version 2") {
    put("proc/self/cgroup", "0::/a/b\n");
    CHECK_FALSE(cgroup_cpu_limit(folder.path()).has_value());
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    CHECK_FALSE(cgroup_cpu_limit(folder.path()).has_value());
    put("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    CHECK(cgroup_cpu_limit(folder.path()) == 2.5);
    put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");  // the tighter one above
    CHECK(cgroup_cpu_limit(folder.path()) == 1.5);
    put("sys/fs/cgroup/cpu.max", "50000 100000\n");  // what a container sees as its own
    CHECK(cgroup_cpu_limit(folder.path()) == 0.5);
  }
  SUBCASE("version 1") {
    put("proc/self/cgroup", "7:memory:/x\n4:cpu,cpuacct:/x\n0::/\n");
    put("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    CHECK_FALSE(cgroup_cpu_limit(folder.path()).has_value());
    put("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000\n");
    CHECK(cgroup_cpu_limit(folder.path()) == 3);
  }
  CHECK(granted_threads() >= 1);
}

TEST_CASE("progress fits its line") {
  const ProgressOptions options = {.name = "speech.wav", .total_s = 100};
  CHECK(progress_line(options, 25, 5, 200) ==
        "speech.wav  [#####...............]  25 %  5.0 x real time  0:15 left");
  CHECK(progress_line({.name = "speech.wav"}, 3725, 100, 200) ==
        "speech.wav  1:02:05  37.2 x real time");
  CHECK(progress_line(options, 25, 5, 40).size() == 40);
  CHECK(progress_line(options, 300, 5, 200).find("100 %  60.0 x real time  0:00 left") !=
        std::string::npos);
}

TEST_CASE("a bounded queue hands everything over, and ends early when closed") {
  BoundedQueue<int> queue(2);
  std::thread producer([&queue] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  int next = 0;
  while (const auto item = queue.pop()) CHECK(*item == next++);
  producer.join();
  CHECK(next == 1000);
  CHECK_FALSE(queue.push(1));
}
