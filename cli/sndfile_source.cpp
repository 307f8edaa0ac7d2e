#include "cli/sndfile_source.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/header_bytes.h"
#include "cli/ogg_pages.h"
#include "cli/sound_tags.h"
#include "cli/told_size.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

// What may be left unread at a sound file's end: a frame by which a guess is wrong, or padding.
constexpr std::int64_t kMostFrameBytes = 1536;
constexpr std::int64_t kMostPaddingBytes = 4096;
// What libsndfile is asked for at once, so that the place of damage is known that well.
constexpr sf_count_t kFramesAtOnce = 1024;
// libFLAC reads ahead by 8 KiB: in so many bytes before the end it gets little at once, so that the
// place where it stops is where the sound ends, within that little.
constexpr std::int64_t kFlacTailBytes = 1 << 16;
constexpr std::int64_t kFlacPieceBytes = 64;
// So much behind the header of what has no samples is some: of a file that was never finished.
constexpr std::int64_t kLeastSoundBytes = 256;
// In a frame of MPEG, by which some count wrongly.
constexpr sf_count_t kMpegFrameSamples = 1152;
// No file has so many, and twice as many can be counted.
constexpr std::int64_t kFarthestByte = std::int64_t{1} << 62;

class SndfileSource : public AudioSource {
 public:
  SndfileSource(std::unique_ptr<ByteReader> reader, std::int64_t begin)
      : AudioSource(reader->name()),
        reader_(std::move(reader)),
        begin_(begin),
        end_(*reader_->size()) {
    const std::vector<std::uint8_t> start = read_start();
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
    told_frames_ = info.frames;
    type_ = info.format & SF_FORMAT_TYPEMASK;
    // The length of an MPEG file may be a guess, and that of a stream may be unknown.
    if (type_ == SF_FORMAT_MPEG) {
      if (tells_mpeg_frames(start)) least_frames_ = least_mpeg_frames(info.frames);
    } else if (info.frames < SF_COUNT_MAX) {
      least_frames_ = info.frames;
      frames_ = info.frames;
    }
    is_seekable_ = info.seekable != 0;
    seeks_exactly_ = frames_ && is_seekable_ && is_lossless(info.format);
    check_size(start);
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

  // Where some writers count the frame of the tag too, its number is too great by one. What is no
  // multiple was counted exactly.
  static sf_count_t least_mpeg_frames(sf_count_t told) {
    const bool is_exact = told % (kMpegFrameSamples / 2) != 0;
    return is_exact ? told : std::max<sf_count_t>(0, told - kMpegFrameSamples);
  }

  // Looks at the first bytes, and at what ends the sound.
  std::vector<std::uint8_t> read_start() {
    std::vector<std::uint8_t> start(kToldSizeBytes);
    reader_->seek(begin_);
    start.resize(reader_->read_fully(start));
    is_flac_ = letters(start).starts_with("fLaC");
    // libFLAC takes what follows for damage.
    if (is_flac_) end_ = end_before_tags(*reader_);
    reader_->seek(begin_);
    return start;
  }

  // Throws where the file is not all there, or is more than one recording.
  void check_size(std::span<const std::uint8_t> start) {
    const std::int64_t place = reader_->position();
    const std::optional<std::int64_t> told = told_bytes(start);
    if (told && *told > end_ - begin_) {
      throw Error(name_ + ": cut short: by its header, " + std::to_string(*told - (end_ - begin_)) +
                  " bytes or more are missing (byte " + std::to_string(end_) + ")");
    }
    if (type_ == SF_FORMAT_OGG) {
      check_ogg();
    } else if (frames_ == 0 && end_before_tags(*reader_) - place >= kLeastSoundBytes) {
      throw Error(name_ + ": its header tells of no samples, though " +
                  std::to_string(end_ - place) + " bytes follow (byte " + std::to_string(place) +
                  "): it was never finished");
    }
    reader_->seek(place);
  }

  void check_ogg() {
    const OggOutline outline = ogg_outline(*reader_, begin_);
    if (outline.second_recording) {
      throw Error(name_ + ": holds several recordings, one after the other, the second from byte " +
                  std::to_string(*outline.second_recording) + " on; split it first");
    }
    if (!outline.has_end) {
      throw Error(name_ + ": cut short: its last page is not the end of a stream (byte " +
                  std::to_string(end_) + ")");
    }
  }

  void skip_frames(std::int64_t count) override {
    if (!is_seekable_) {
      drop_frames(count);
      return;
    }
    const sf_count_t place = sf_seek(file_.get(), frames_given_ + count, SF_SEEK_SET);
    check();
    if (place != frames_given_ + count) {
      throw Error(name_ + ": cannot seek to sample " + std::to_string(frames_given_ + count) +
                  ": " + message(sf_strerror(file_.get())));
    }
    frames_given_ = place;
  }

  void drop_frames(std::int64_t count) {
    std::vector<float> dropped(static_cast<std::size_t>(kFramesAtOnce * channels_));
    while (count > 0) {
      const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(count, kFramesAtOnce));
      const std::size_t got =
          read_frames(std::span(dropped).first(wanted * static_cast<std::size_t>(channels_)));
      if (got == 0) throw Error(name_ + ": ends before its length");
      count -= static_cast<std::int64_t>(got);
    }
  }

  std::size_t read_frames(std::span<float> interleaved) override {
    // Asked for more, libsndfile reads further than it tells, and what is left is not known.
    const sf_count_t capacity = std::min(static_cast<sf_count_t>(interleaved.size()) / channels_,
                                         std::max<sf_count_t>(1, told_frames_ - frames_given_));
    sf_count_t done = 0;
    while (done < capacity) {
      const sf_count_t wanted = std::min(kFramesAtOnce, capacity - done);
      const sf_count_t count =
          sf_readf_float(file_.get(), interleaved.data() + done * channels_, wanted);
      check();
      if (sf_error(file_.get()) != SF_ERR_NO_ERROR) {
        throw Error(name_ + ": cannot read on after " + std::to_string(frames_given_) +
                    " samples: " + message(sf_strerror(file_.get())));
      }
      if (count <= 0) break;
      frames_given_ += count;
      done += count;
    }
    if (done == 0) check_end();
    return static_cast<std::size_t>(done);
  }

  // libsndfile stops where a guess or a header says, though the sound may go on.
  void check_end() {
    if (frames_given_ < least_frames_) {
      throw Error(name_ + ": cut short: " + std::to_string(frames_given_) + " of its " +
                  std::to_string(told_frames_) + " samples are there");
    }
    if (type_ != SF_FORMAT_MPEG && !is_flac_) return;
    const std::int64_t place = reader_->position();
    const std::int64_t left = end_before_tags(*reader_) - place;
    reader_->seek(place);
    const bool goes_on = is_flac_ ? has_flac_frame() : is_before_mpeg();
    const std::int64_t most = !goes_on ? kMostPaddingBytes : is_flac_ ? 0 : kMostFrameBytes;
    if (left > most) {
      throw Error(name_ + ": goes on for " + std::to_string(left) +
                  " bytes where libsndfile takes it to end (byte " + std::to_string(place) +
                  "); convert it to WAV or FLAC first");
    }
  }

  // Whether what can be the begin of a frame is among the bytes that may be padding.
  bool has_flac_frame() {
    const std::int64_t place = reader_->position();
    std::array<std::uint8_t, kMostPaddingBytes> bytes;
    const std::size_t size = reader_->read_fully(std::span(bytes).first(static_cast<std::size_t>(
        std::clamp<std::int64_t>(end_ - place, 0, static_cast<std::int64_t>(bytes.size())))));
    reader_->seek(place);
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(size);
    return std::adjacent_find(bytes.begin(), end, [](std::uint8_t a, std::uint8_t b) {
             return a == 0xFF && (b & 0xFE) == 0xF8;
           }) != end;
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

  static SndfileSource& source(void* self) { return *static_cast<SndfileSource*>(self); }
  static ByteReader& bytes(void* self) { return *source(self).reader_; }
  static sf_count_t length(void* self) { return source(self).end_ - source(self).begin_; }
  static sf_count_t tell(void* self) { return bytes(self).position() - source(self).begin_; }
  static sf_count_t seek(sf_count_t offset, int whence, void* self) {
    const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? tell(self) : length(self);
    // By what a file says, it may be anywhere.
    if (offset < -from || offset > kFarthestByte - from) return -1;
    return guarded(self, [&] {
      bytes(self).seek(source(self).begin_ + from + offset);
      return from + offset;
    });
  }
  static sf_count_t read_bytes(void* data, sf_count_t size, void* self) {
    return guarded(self, [&] {
      const auto wanted = static_cast<std::size_t>(std::min(size, source(self).bytes_to_give()));
      const std::span buffer(static_cast<std::uint8_t*>(data), wanted);
      return static_cast<sf_count_t>(bytes(self).read_fully(buffer));
    });
  }
  sf_count_t bytes_to_give() const {
    const std::int64_t left = std::max<std::int64_t>(0, end_ - reader_->position());
    return is_flac_ && left <= kFlacTailBytes ? std::min(left, kFlacPieceBytes) : left;
  }
  // No exception may pass through a library in C.
  template <typename Work>
  static sf_count_t guarded(void* self, Work work) {
    try {
      return work();
    } catch (...) {
      source(self).failure_ = std::current_exception();
      return -1;
    }
  }

  struct Close {
    void operator()(SNDFILE* file) const { sf_close(file); }
  };
  std::unique_ptr<ByteReader> reader_;
  std::unique_ptr<SNDFILE, Close> file_;
  std::exception_ptr failure_;
  std::int64_t begin_;  // of what libsndfile sees
  std::int64_t end_;
  bool is_flac_ = false;         // not within Ogg
  int type_ = 0;                 // SF_FORMAT_MPEG and others
  sf_count_t told_frames_ = 0;   // by libsndfile, a guess or not
  sf_count_t least_frames_ = 0;  // of which it is none
  bool is_seekable_ = false;
  bool seeks_exactly_ = false;
  std::int64_t frames_given_ = 0;
};

}  // namespace

std::unique_ptr<AudioSource> open_sndfile_source(std::unique_ptr<ByteReader> reader,
                                                 std::int64_t begin) {
  return std::make_unique<SndfileSource>(std::move(reader), begin);
}

}  // namespace mimi::cli
