#include "cli/audio_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/pcm.h"
#include "cli/sndfile_source.h"
#include "cli/sound_tags.h"
#include "cli/temporary_file.h"
#include "cli/wav_ending.h"
#include "cli/wav_header.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

// More would make a block of samples grow beyond what a machine has.
constexpr int kMaxChannels = 256;
// Raw PCM or the samples of a WAV, as they come out of a file or a pipe.
class PcmSource : public AudioSource {
 public:
  PcmSource(std::unique_ptr<ByteReader> reader, const RawFormat& format)
      : AudioSource(reader->name()), reader_(std::move(reader)), must_end_whole_(true) {
    rate_hz_ = format.rate_hz;
    channels_ = format.channels;
    encoding_ = encoding_of(format.sample);
    if (reader_->size()) frames_ = *reader_->size() / frame_bytes();
  }

  PcmSource(std::unique_ptr<ByteReader> reader, const WavHeader& header)
      : AudioSource(reader->name()), reader_(std::move(reader)), encoding_(*header.encoding) {
    rate_hz_ = header.rate_hz;
    channels_ = header.channels;
    if (!header.data_bytes) return;
    if (!reader_->is_regular()) data_bytes_ = header.data_bytes;
    frames_ = *header.data_bytes / frame_bytes();
    bytes_left_ = *frames_ * frame_bytes();
  }

  void cancel() override { reader_->cancel(); }
  bool seeks_exactly() const override { return reader_->is_regular(); }

 private:
  void skip_frames(std::int64_t count) override {
    const std::int64_t bytes = count * frame_bytes();
    reader_->seek(reader_->position() - static_cast<std::int64_t>(bytes_.size()) + bytes);
    if (bytes_left_) *bytes_left_ -= bytes - static_cast<std::int64_t>(bytes_.size());
    bytes_.clear();
  }

  std::int64_t frame_bytes() const { return std::int64_t{channels_} * bytes_per_sample(encoding_); }

  std::size_t read_frames(std::span<float> interleaved) override {
    const auto width = static_cast<std::size_t>(frame_bytes());
    const std::size_t capacity = interleaved.size() / static_cast<std::size_t>(channels_) * width;
    std::size_t size = bytes_.size();  // of a frame that was begun
    bytes_.resize(capacity);
    do {
      const std::size_t count = read_bytes(std::span(bytes_).subspan(size));
      if (count == 0) {
        check_end(size);
        return 0;
      }
      size += count;
    } while (size < width);
    const std::size_t frames = size / width;
    const std::size_t samples = frames * static_cast<std::size_t>(channels_);
    decode_pcm(encoding_, bytes_, interleaved.first(samples));
    const auto rest = std::span(bytes_).subspan(frames * width, size - frames * width);
    std::ranges::copy(rest, bytes_.begin());
    bytes_.resize(rest.size());
    return frames;
  }

  std::size_t read_bytes(std::span<std::uint8_t> bytes) {
    if (!bytes_left_) return reader_->read(bytes);
    const auto wanted = static_cast<std::size_t>(
        std::min<std::int64_t>(static_cast<std::int64_t>(bytes.size()), *bytes_left_));
    const std::size_t count = reader_->read(bytes.first(wanted));
    *bytes_left_ -= static_cast<std::int64_t>(count);
    return count;
  }

  void check_end(std::size_t begun_bytes) {
    if (bytes_left_.value_or(0) > 0) {
      throw Error(name_ + ": WAV file cut short: " + std::to_string(*bytes_left_) +
                  " bytes of its 'data' chunk are missing (byte " +
                  std::to_string(reader_->position()) + ")");
    }
    if (const auto data_bytes = std::exchange(data_bytes_, std::nullopt)) {
      reader_->skip(*data_bytes % frame_bytes());
      check_behind_samples(*reader_, *data_bytes);
    }
    // A WAV of unknown size may end with a padding byte.
    if (must_end_whole_ && begun_bytes > 0) {
      throw Error(name_ + ": ends within a sample (byte " + std::to_string(reader_->position()) +
                  ")");
    }
  }

  std::unique_ptr<ByteReader> reader_;
  PcmEncoding encoding_ = PcmEncoding::kS16;
  bool must_end_whole_ = false;
  std::optional<std::int64_t> bytes_left_;
  std::optional<std::int64_t> data_bytes_;  // of a pipe, until what follows was looked at
  std::vector<std::uint8_t> bytes_;
};

void write_all(int fd, std::span<const std::uint8_t> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(name + ": cannot be kept in a temporary file: " + std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// A copy of a pipe that libsndfile can seek in.
std::unique_ptr<ByteReader> spool(ByteReader& reader, std::span<const std::uint8_t> seen) {
  UniqueFd file = open_temporary_file();
  write_all(file.get(), seen, reader.name());
  std::vector<std::uint8_t> bytes(1 << 16);
  while (const std::size_t count = reader.read(bytes)) {
    write_all(file.get(), std::span(bytes).first(count), reader.name());
  }
  lseek(file.get(), 0, SEEK_SET);
  return std::make_unique<ByteReader>(std::move(file), reader.name());
}

std::unique_ptr<AudioSource> open_unchecked(std::unique_ptr<ByteReader> reader,
                                            const SourceOptions& options) {
  if (options.raw) return std::make_unique<PcmSource>(std::move(reader), options.raw_format);
  WavProbe probe;
  if (!reader->is_regular()) {
    probe = probe_wav(*reader);
    if (!probe.header || !probe.header->encoding) reader = spool(*reader, probe.seen);
  }
  std::int64_t begin = 0;
  if (reader->is_regular()) {
    // libsndfile leaves out as many bytes at the end as tags have at the beginning.
    begin = begin_behind_tags(*reader);
    reader->seek(begin);
    probe = probe_wav(*reader);
  }
  if (probe.header && probe.header->encoding) {
    return std::make_unique<PcmSource>(std::move(reader), *probe.header);
  }
  return open_sndfile_source(std::move(reader), begin);
}

}  // namespace

std::size_t AudioSource::read(std::span<float> interleaved) {
  const auto channels = static_cast<std::size_t>(channels_);
  if (end_frame_) {
    const auto left = static_cast<std::size_t>(*end_frame_ - frames_read_);
    if (left == 0) return 0;
    interleaved = interleaved.first(std::min(interleaved.size(), left * channels));
  }
  const std::size_t frames = read_frames(interleaved);
  for (std::size_t i = 0; i < frames * channels; ++i) {
    if (std::isfinite(interleaved[i])) continue;
    throw Error(name_ + ": sample " +
                std::to_string(frames_read_ + static_cast<std::int64_t>(i / channels)) +
                " of channel " + std::to_string(i % channels + 1) + " is " +
                (std::isnan(interleaved[i]) ? "not a number" : "infinite"));
  }
  frames_read_ += static_cast<std::int64_t>(frames);
  return frames;
}

void AudioSource::skip(std::int64_t count) {
  if (count == 0) return;
  if (frames_ && count > *frames_ - frames_read_) {
    throw Error(name_ + ": ends after " + std::to_string(*frames_) + " samples, before sample " +
                std::to_string(frames_read_ + count));
  }
  skip_frames(count);
  frames_read_ += count;
}

void AudioSource::end_after(std::int64_t count) {
  end_frame_ = frames_read_ + count;
  frames_ = *end_frame_;
}

std::unique_ptr<AudioSource> open_audio_source(const std::string& path,
                                               const SourceOptions& options) {
  return open_audio_source(std::make_unique<ByteReader>(path), options);
}

std::unique_ptr<AudioSource> open_audio_source(std::unique_ptr<ByteReader> reader,
                                               const SourceOptions& options) {
  std::unique_ptr<AudioSource> source = open_unchecked(std::move(reader), options);
  if (source->channels() > kMaxChannels) {
    throw Error(source->name() + ": has " + std::to_string(source->channels()) +
                " channels, at most " + std::to_string(kMaxChannels) + " can be read");
  }
  return source;
}

}  // namespace mimi::cli
