// Headerless PCM and WAV. The first byte chooses; libsndfile's formats are not ours.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "cli/audio_source.h"
#include "cli/byte_reader.h"
#include "cli/wav_header.h"
#include "core/error.h"

namespace {

using mimi::cli::SampleFormat;

// From sample `first` on, if there are so many.
void read_sound(const std::string& path, const mimi::cli::SourceOptions& options, int first) {
  const auto source = mimi::cli::open_audio_source(path, options);
  if (source->frames().value_or(0) >= first) source->skip(first);
  std::vector<float> samples(64 * static_cast<std::size_t>(source->channels()));
  while (const std::size_t frames = source->read(samples)) {
    for (std::size_t i = 0; i < frames * static_cast<std::size_t>(source->channels()); ++i) {
      if (!std::isfinite(samples[i])) std::abort();
    }
  }
}

mimi::cli::SourceOptions raw_options(std::uint8_t choice) {
  mimi::cli::SourceOptions options;
  options.raw = true;
  options.raw_format.sample = choice % 2 == 0 ? SampleFormat::kS16 : SampleFormat::kF32;
  options.raw_format.channels = 1 + choice / 8;
  return options;
}

// Whether it is a WAV that libsndfile has no part in.
bool is_own_wav(const std::string& path) {
  mimi::cli::ByteReader reader(path);
  const mimi::cli::WavProbe probe = mimi::cli::probe_wav(reader);
  return probe.header && probe.header->encoding;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const int fd = memfd_create("sound", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data + 1, size - 1) != static_cast<ssize_t>(size - 1)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  try {
    const int first = data[0] / 4 % 2 * 100;
    if (data[0] % 4 < 2) {
      read_sound(path, raw_options(data[0]), first);
    } else if (is_own_wav(path)) {
      read_sound(path, {}, first);
    }
  } catch (const mimi::Error&) {  // NOLINT(bugprone-empty-catch): a refusal is a good end
  }
  close(fd);
  return 0;
}
