// Stands before libopus's own function of this name, which libopus calls several times for each
// packet that it decodes, to be given a constant, and which asks the processor each time what it
// can do. In a virtual machine, where that instruction is caught, decoding would take three times
// as long.
#include <dlfcn.h>

#include <cstdint>

namespace {

using Create = const void* (*)(std::int32_t rate_hz, int frame_samples, int* error);
constexpr std::int32_t kRateHz = 48000;
constexpr int kFrameSamples = 960;

const void* create(std::int32_t rate_hz, int frame_samples, int* error) {
  static const auto original =
      reinterpret_cast<Create>(dlsym(RTLD_NEXT, "opus_custom_mode_create"));
  return original(rate_hz, frame_samples, error);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] const void* opus_custom_mode_create(std::int32_t rate_hz,
                                                                              int frame_samples,
                                                                              int* error) {
  if (rate_hz != kRateHz || frame_samples != kFrameSamples) {
    return create(rate_hz, frame_samples, error);
  }
  static int its_error = 0;
  static const void* const mode = create(rate_hz, frame_samples, &its_error);
  if (error != nullptr) *error = its_error;
  return mode;
}
