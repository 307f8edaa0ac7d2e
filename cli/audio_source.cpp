#include "cli/audio_source.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/ogg_pages.h"
#include "cli/pcm.h"
#include "cli/temporary_file.h"
#include "cli/trailing_tags.h"
#include "cli/wav_header.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

// More would make a block of samples grow beyond what a machine has.
constexpr int kMaxChannels = 256;
// What may be left unread at a sound file's end: a frame by which a guess is wrong, or padding.
constexpr std::int64_t kMostFrameBytes = 1536;
constexpr std::int64_t kMostPaddingBytes = 4096;
// No file has so many, and twice as many can be counted.
constexpr std::int64_t kFarthestByte = std::int64_t{1} << 62;

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

  void check_end(std::size_t begun_bytes) const {
    if (bytes_left_.value_or(0) > 0) {
      throw Error(name_ + ": WAV file cut short: " + std::to_string(*bytes_left_) +
                  " bytes of its 'data' chunk are missing (byte " +
                  std::to_string(reader_->position()) + ")");
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
  std::vector<std::uint8_t> bytes_;
};

// What libsndfile reads from a regular file.
class SndfileSource : public AudioSource {
 public:
  explicit SndfileSource(std::unique_ptr<ByteReader> reader)
      : AudioSource(reader->name()), reader_(std::move(reader)) {
    SF_INFO info{};
    SF_VIRTUAL_IO io{&SndfileSource::length, &SndfileSource::seek, &SndfileSource::read_bytes,
                     /*write=*/nullptr, &SndfileSource::tell};
    file_.reset(sf_open_virtual(&io, SFM_READ, &info, this));
    check();
    if (file_ == nullptr) {
      throw Error(name_ + ": not a sound file that can be read: " +
                  (reader_->size() == 0 ? "it is empty" : message(sf_strerror(nullptr))));
    }
    rate_hz_ = info.samplerate;
    channels_ = info.channels;
    told_frames_ = std::min<sf_count_t>(info.frames, SF_COUNT_MAX - 1);  // and one may be added
    type_ = info.format & SF_FORMAT_TYPEMASK;
    // The length of an MPEG file is a guess, and that of a stream may be unknown.
    if (type_ != SF_FORMAT_MPEG && info.frames < SF_COUNT_MAX) length_ = info.frames;
    frames_ = length_;
    if (type_ == SF_FORMAT_OGG) check_one_recording();
    seeks_exactly_ = frames_ && info.seekable != 0 && is_lossless(info.format);
  }

  void cancel() override {}
  bool seeks_exactly() const override { return seeks_exactly_; }

 private:
  // Of the formats whose samples do not depend on the samples before them.
  static bool is_lossless(int format) {
    switch (format & SF_FORMAT_SUBMASK) {
      case SF_FORMAT_PCM_S8:
      case SF_FORMAT_PCM_U8:
      case SF_FORMAT_PCM_16:
      case SF_FORMAT_PCM_24:
      case SF_FORMAT_PCM_32:
      case SF_FORMAT_FLOAT:
      case SF_FORMAT_DOUBLE:
      case SF_FORMAT_ULAW:
      case SF_FORMAT_ALAW:
        return true;  // FLAC is among them, by its PCM
      default:
        return false;
    }
  }

  void skip_frames(std::int64_t count) override {
    const sf_count_t place = sf_seek(file_.get(), frames_given_ + count, SF_SEEK_SET);
    check();
    if (place != frames_given_ + count) {
      throw Error(name_ + ": cannot seek to sample " + std::to_string(frames_given_ + count) +
                  ": " + message(sf_strerror(file_.get())));
    }
    frames_given_ = place;
  }

  std::size_t read_frames(std::span<float> interleaved) override {
    // Asked for more, libsndfile reads further than it tells, and what is left is not known. One
    // more makes the decoder of FLAC look at what follows.
    const sf_count_t told = told_frames_ - frames_given_ + (type_ == SF_FORMAT_FLAC ? 1 : 0);
    const sf_count_t capacity = std::min(static_cast<sf_count_t>(interleaved.size()) / channels_,
                                         std::max<sf_count_t>(1, told));
    const sf_count_t count = sf_readf_float(file_.get(), interleaved.data(), capacity);
    check();
    if (sf_error(file_.get()) != SF_ERR_NO_ERROR) {
      throw Error(name_ + ": cannot read on after " + std::to_string(frames_given_) +
                  " samples: " + message(sf_strerror(file_.get())));
    }
    if (count <= 0) {
      check_end();
      return 0;
    }
    frames_given_ += count;
    return static_cast<std::size_t>(count);
  }

  // Throws where there is more than one recording.
  void check_one_recording() {
    const std::int64_t place = reader_->position();
    const std::optional<std::int64_t> second = second_ogg_recording(*reader_);
    reader_->seek(place);
    if (second) {
      throw Error(name_ + ": holds several recordings, one after the other, the second from byte " +
                  std::to_string(*second) + " on; split it first");
    }
  }

  // libsndfile stops where a guess or a header says, though the sound may go on.
  void check_end() {
    if (length_ && frames_given_ < *length_) {
      throw Error(name_ + ": cut short: " + std::to_string(frames_given_) + " of its " +
                  std::to_string(*length_) + " samples are there");
    }
    if (type_ != SF_FORMAT_MPEG && type_ != SF_FORMAT_FLAC) return;
    const std::int64_t place = reader_->position();
    const std::int64_t left = end_before_tags(*reader_) - place;
    reader_->seek(place);
    if (left > (is_before_mpeg() ? kMostFrameBytes : kMostPaddingBytes)) {
      throw Error(name_ + ": goes on for " + std::to_string(left) +
                  " bytes where libsndfile takes it to end (byte " + std::to_string(place) +
                  "); convert it to WAV or FLAC first");
    }
  }

  // Whether a frame of MPEG, or the tag at the beginning of another file of it, comes next.
  bool is_before_mpeg() {
    std::array<std::uint8_t, 3> next{};
    reader_->seek(reader_->position() - static_cast<std::int64_t>(reader_->read_fully(next)));
    return (next[0] == 0xFF && next[1] >= 0xE0) ||
           (next[0] == 'I' && next[1] == 'D' && next[2] == '3');
  }

  // Some of libsndfile's messages end with a full stop or a new line, some begin with what is said
  // anyway, and some are about its own insides.
  static std::string message(std::string text) {
    while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
    constexpr std::string_view kError = "Error : ";
    if (text.starts_with(kError)) text.erase(0, kError.size());
    for (const char* const vague : {"nternal error", "unknown error"}) {
      if (text.find(vague) != std::string::npos)
        return "damaged, or in a form that libsndfile does not know";
    }
    return text;
  }

  // What went wrong under libsndfile, which forgets it.
  void check() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  static ByteReader& bytes(void* self) { return *static_cast<SndfileSource*>(self)->reader_; }
  static sf_count_t length(void* self) { return *bytes(self).size(); }
  static sf_count_t tell(void* self) { return bytes(self).position(); }
  static sf_count_t seek(sf_count_t offset, int whence, void* self) {
    const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? tell(self) : length(self);
    // By what a file says, it may be anywhere.
    if (offset < -from || offset > kFarthestByte - from) return -1;
    return guarded(self, [&] {
      bytes(self).seek(from + offset);
      return from + offset;
    });
  }
  static sf_count_t read_bytes(void* data, sf_count_t size, void* self) {
    return guarded(self, [&] {
      const std::span buffer(static_cast<std::uint8_t*>(data), static_cast<std::size_t>(size));
      return static_cast<sf_count_t>(bytes(self).read_fully(buffer));
    });
  }
  // No exception may pass through a library in C.
  template <typename Work>
  static sf_count_t guarded(void* self, Work work) {
    try {
      return work();
    } catch (...) {
      static_cast<SndfileSource*>(self)->failure_ = std::current_exception();
      return -1;
    }
  }

  struct Close {
    void operator()(SNDFILE* file) const { sf_close(file); }
  };
  std::unique_ptr<ByteReader> reader_;
  std::unique_ptr<SNDFILE, Close> file_;
  std::exception_ptr failure_;
  int type_ = 0;                        // SF_FORMAT_FLAC and others
  sf_count_t told_frames_ = 0;          // by libsndfile, a guess or not
  std::optional<std::int64_t> length_;  // where it is none
  bool seeks_exactly_ = false;
  std::int64_t frames_given_ = 0;
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
  WavProbe probe = probe_wav(*reader);
  if (!reader->is_regular() && !(probe.header && probe.header->encoding)) {
    reader = spool(*reader, probe.seen);
    probe = probe_wav(*reader);
  }
  if (probe.header && probe.header->encoding) {
    return std::make_unique<PcmSource>(std::move(reader), *probe.header);
  }
  reader->seek(0);
  return std::make_unique<SndfileSource>(std::move(reader));
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
