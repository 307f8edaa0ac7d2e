#include "cli/audio_sink.h"

#include <sndfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "cli/ogg_pages.h"
#include "cli/output_file.h"
#include "cli/pcm.h"
#include "cli/printable.h"
#include "cli/temporary_file.h"
#include "cli/usage_error.h"
#include "cli/wav_header.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

// WAV and headerless PCM.
class PcmSink : public AudioSink {
 public:
  PcmSink(const OutputPlace& place, SampleFormat format)
      : file_(place.path, place.force, place.on_signal), format_(format) {}

  PcmSink(const OutputPlace& place, SampleFormat format, int rate_hz, int channels,
          double expected_s)
      : PcmSink(place, format) {
    is_wav_ = true;
    rate_hz_ = rate_hz;
    channels_ = channels;
    // A pipe cannot be told its sizes, and "unknown" in RIFF is what most readers know.
    if (file_.is_regular()) {
      form_ = wav_form(expected_s * rate_hz * channels * bytes_per_sample(encoding_of(format)));
    }
    file_.write(header(std::nullopt));
    if (!file_.is_regular()) file_.flush();
  }

  void write(std::span<const float> interleaved) override {
    bytes_.clear();
    encode_pcm(format_, interleaved, bytes_, clipped_);
    file_.write(bytes_);
    if (!file_.is_regular()) file_.flush();
    data_bytes_ += static_cast<std::int64_t>(bytes_.size());
  }

  void finish() override {
    if (is_wav_ && file_.is_regular()) {
      if (data_bytes_ % 2 != 0) file_.write(std::vector<std::uint8_t>{0});
      file_.overwrite(0, header(data_bytes_));
    }
    file_.commit();
  }

 private:
  std::vector<std::uint8_t> header(std::optional<std::int64_t> data_bytes) const {
    return wav_header(format_, rate_hz_, channels_, form_, data_bytes);
  }

  OutputFile file_;
  SampleFormat format_;
  bool is_wav_ = false;
  WavForm form_ = WavForm::kRiff;
  int rate_hz_ = 0;
  int channels_ = 0;
  std::int64_t data_bytes_ = 0;
  std::vector<std::uint8_t> bytes_;
};

constexpr std::size_t kChunkFrames = 4096;
// libsndfile takes one by chance, and the same sound would give other bytes each time.
constexpr std::uint32_t kOggSerial = 1;

// Of those of libFLAC and libvorbis, of which libsndfile's messages say nothing; empty: none.
std::string exceeded_limit(Container container, int rate_hz, int channels) {
  constexpr int kMostAnyFlacHz = 65535;
  constexpr int kMostFlacChannels = 8;
  const bool is_flac = container == Container::kFlac;
  const std::string form = is_flac ? "FLAC" : "Ogg Vorbis";
  const int most_hz = is_flac ? 655350 : 200000;
  if (is_flac && channels > kMostFlacChannels) {
    return "FLAC holds at most " + std::to_string(kMostFlacChannels) + " channels, not " +
           std::to_string(channels);
  }
  if (rate_hz > most_hz) {
    return form + " is of at most " + std::to_string(most_hz) + " Hz, not " +
           std::to_string(rate_hz);
  }
  if (is_flac && rate_hz > kMostAnyFlacHz && rate_hz % 10 != 0) {
    return "FLAC of more than " + std::to_string(kMostAnyFlacHz) +
           " Hz is of whole tens of them, not " + std::to_string(rate_hz);
  }
  return "";
}

// What libsndfile writes. It seeks, so what is not a regular file gets a copy at the end.
class SndfileSink : public AudioSink {
 public:
  SndfileSink(const OutputPlace& place, int format, int rate_hz, int channels)
      : file_(place.path, place.force, place.on_signal),
        integer_bits_(integer_bits(format)),
        channels_(static_cast<std::size_t>(channels)),
        is_flac_((format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC),
        is_ogg_((format & SF_FORMAT_TYPEMASK) == SF_FORMAT_OGG) {
    const std::string limit =
        exceeded_limit(is_flac_ ? Container::kFlac : Container::kOgg, rate_hz, channels);
    if (!limit.empty()) throw Error(file_.name() + ": " + limit);
    if (!file_.is_regular()) temporary_ = open_temporary_file();
    fd_ = temporary_ ? temporary_.get() : file_.fd();
    SF_INFO info{};
    info.samplerate = rate_hz;
    info.channels = channels;
    info.format = format;
    SF_VIRTUAL_IO io{&SndfileSink::length, &SndfileSink::seek, &SndfileSink::read,
                     &SndfileSink::append, &SndfileSink::tell};
    sound_.reset(sf_open_virtual(&io, SFM_WRITE, &info, this));
    check();
    if (sound_ == nullptr) {
      throw Error(file_.name() + ": cannot be written at " + std::to_string(rate_hz) + " Hz with " +
                  counted(static_cast<std::uint64_t>(channels), "channel") + ": " +
                  sf_strerror(nullptr));
    }
  }

  void write(std::span<const float> interleaved) override {
    // libvorbis puts what one call brings on the stack.
    const std::size_t chunk_samples = kChunkFrames * channels_;
    while (!interleaved.empty()) {
      const auto chunk = interleaved.first(std::min(chunk_samples, interleaved.size()));
      if (write_chunk(chunk) != static_cast<sf_count_t>(chunk.size())) {
        check();
        throw Error(file_.name() + ": cannot write: " + sf_strerror(sound_.get()));
      }
      interleaved = interleaved.subspan(chunk.size());
      has_samples_ = true;
    }
    check();
  }

  void finish() override {
    // The header of FLAC goes ahead of its first sample, and without one is forgotten.
    if (is_flac_ && !has_samples_) sf_command(sound_.get(), SFC_UPDATE_HEADER_NOW, nullptr, 0);
    const int failed = sf_close(sound_.release());
    check();
    if (failed != 0) throw Error(file_.name() + ": cannot write: " + sf_error_number(failed));
    if (temporary_) copy_temporary();
    file_.commit();
  }

 private:
  static int integer_bits(int format) {
    const int subtype = format & SF_FORMAT_SUBMASK;
    return subtype == SF_FORMAT_PCM_16 ? 16 : subtype == SF_FORMAT_PCM_24 ? 24 : 0;
  }

  sf_count_t write_chunk(std::span<const float> samples) {
    const auto count = static_cast<sf_count_t>(samples.size());
    if (integer_bits_ == 0) return sf_write_float(sound_.get(), samples.data(), count);
    integers_.clear();
    for (const float sample : samples) {
      integers_.push_back(quantize(sample, integer_bits_, clipped_) * (1 << (32 - integer_bits_)));
    }
    return sf_write_int(sound_.get(), integers_.data(), count);
  }

  void copy_temporary() {
    lseek(fd_, 0, SEEK_SET);
    std::vector<std::uint8_t> bytes(1 << 16);
    while (true) {
      const ssize_t count = ::read(fd_, bytes.data(), bytes.size());
      if (count < 0) throw Error(file_.name() + ": cannot be copied: " + std::strerror(errno));
      if (count == 0) return;
      file_.write(std::span(bytes).first(static_cast<std::size_t>(count)));
    }
  }

  // libsndfile forgets what write() said was wrong.
  void check() const {
    if (write_error_ != 0) file_.throw_write_error(write_error_);
  }

  static sf_count_t length(void* self) {
    struct stat status {};
    return fstat(static_cast<SndfileSink*>(self)->fd_, &status) == 0 ? status.st_size : -1;
  }
  static sf_count_t seek(sf_count_t offset, int whence, void* self) {
    return lseek(static_cast<SndfileSink*>(self)->fd_, offset, whence);
  }
  static sf_count_t tell(void* self) {
    return lseek(static_cast<SndfileSink*>(self)->fd_, 0, SEEK_CUR);
  }
  static sf_count_t read(void* data, sf_count_t size, void* self) {
    return ::read(static_cast<SndfileSink*>(self)->fd_, data, static_cast<std::size_t>(size));
  }
  static sf_count_t append(const void* data, sf_count_t size, void* self) {
    auto& sink = *static_cast<SndfileSink*>(self);
    const std::span bytes(static_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size));
    if (!sink.is_ogg_ || !is_ogg_header(bytes)) return sink.append_bytes(bytes);
    std::vector<std::uint8_t> header(bytes.begin(), bytes.end());
    set_ogg_serial(header, kOggSerial);
    return sink.append_bytes(header);
  }

  sf_count_t append_bytes(std::span<const std::uint8_t> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (count >= 0) {
        done += static_cast<std::size_t>(count);
      } else if (errno != EINTR) {
        write_error_ = errno;
        break;
      }
    }
    return static_cast<sf_count_t>(done);
  }

  struct Close {
    void operator()(SNDFILE* file) const { sf_close(file); }
  };

  OutputFile file_;
  int integer_bits_;  // 0: the format takes floats
  std::size_t channels_;
  UniqueFd temporary_;
  bool is_flac_;
  bool is_ogg_;
  int fd_ = -1;
  int write_error_ = 0;
  bool has_samples_ = false;
  std::vector<int> integers_;
  std::unique_ptr<SNDFILE, Close> sound_;
};

std::string lower_suffix(const std::string& path) {
  std::string suffix = std::filesystem::path(path).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return suffix;
}

int sndfile_format(Container container, const SinkOptions& options) {
  if (container == Container::kOgg) return SF_FORMAT_OGG | SF_FORMAT_VORBIS;
  const bool is_s24 = options.sample == SampleFormat::kS24;
  return SF_FORMAT_FLAC | (is_s24 ? SF_FORMAT_PCM_24 : SF_FORMAT_PCM_16);
}

bool is_stream(const std::string& path) {
  struct stat status {};
  return path == "-" || (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode));
}

}  // namespace

Container container_of(const std::string& path, const SinkOptions& options) {
  if (options.raw) return Container::kRaw;
  const std::string suffix = lower_suffix(path);
  std::optional<Container> container;
  if (suffix == ".flac") container = Container::kFlac;
  if (suffix == ".ogg" || suffix == ".oga") container = Container::kOgg;
  if (container) {
    check_sample_format(path, *container, options);
    return *container;
  }
  if (suffix == ".wav" || suffix == ".wave" || suffix.empty() || is_stream(path)) {
    return Container::kWav;
  }
  throw UsageError(path + ": '" + suffix +
                   "' is not a format that can be written: .wav, .flac, .ogg, or any with --raw");
}

void check_sample_format(const std::string& name, Container container, const SinkOptions& options) {
  if (container == Container::kFlac && options.sample == SampleFormat::kF32) {
    throw UsageError(name + ": FLAC holds integers: --format s16 or s24");
  }
  if (container == Container::kOgg && options.sample_given) {
    throw UsageError(name + ": --format is not for Ogg Vorbis");
  }
}

void check_sound(const std::string& name, Container container, int rate_hz, int channels) {
  if (container == Container::kWav || container == Container::kRaw) return;
  const std::string limit = exceeded_limit(container, rate_hz, channels);
  if (!limit.empty()) throw UsageError(name + ": " + limit);
}

std::unique_ptr<AudioSink> open_audio_sink(const OutputPlace& place, const SinkOptions& options,
                                           int rate_hz, int channels, double expected_s) {
  const Container container = container_of(place.path, options);
  switch (container) {
    case Container::kWav:
      return std::make_unique<PcmSink>(place, options.sample, rate_hz, channels, expected_s);
    case Container::kRaw:
      return std::make_unique<PcmSink>(place, options.sample);
    case Container::kFlac:
    case Container::kOgg:
      return std::make_unique<SndfileSink>(place, sndfile_format(container, options), rate_hz,
                                           channels);
  }
  return nullptr;
}

}  // namespace mimi::cli
