// The Mimi codec: speech at 24 kHz to 12.5 frames of tokens a second, and back.
//
//   mimi::Model model = mimi::Model::embedded();
//   mimi::Encoder encoder(model, {.levels = 8});
//   std::vector<std::uint16_t> codes;      // [frames x 8], frame by frame
//   encoder.push(samples, codes);          // any number of samples, as often as wanted
//   encoder.finish(codes);                 // pads the last frame with silence
//   mimi::Decoder decoder(model, {.levels = mimi::first_levels(8)});
//   std::vector<float> audio;
//   decoder.push(codes, audio);            // 1920 samples a frame
//
// The same input gives the same bits for any cut into pushes, any number of threads and any
// instruction set. Everything here throws mimi::Error; nothing prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace mimi {

// How far attention looks back. Public implementations disagree after the first 10 s.
enum class Window {
  kOffline,         // a step and the 249 before it: PyTorch on a whole file
  kMoshiStreaming,  // one less on the first step of each frame: PyTorch frame by frame
  kRust,            // a step and the 250 before it: rustymimi
};
Window parse_window(std::string_view name);  // "offline", "moshi-streaming" or "rust"
std::string_view window_name(Window window);

// The numbers that the large matrix products multiply; sums, and whatever is fragile, stay in f32.
enum class Dtype { kF32, kBf16, kInt8 };
Dtype parse_dtype(std::string_view name);  // "f32", "bf16" or "int8"
std::string_view dtype_name(Dtype dtype);

struct ModelInfo {
  std::string name;           // what `--model` named: a hub's name, or the folder's or file's own
  std::uint32_t fingerprint;  // CRC32C of everything that decides the results; see core/FORMAT.md
  int sample_rate;            // 24000, in Hz
  int frame_samples;          // 1920
  int levels;                 // 32
  int codebook_size;          // 2048
  std::int64_t parameters;
  Dtype dtype;
};

// What a model is opened for. The weights of the other direction are verified, but take no memory.
enum class ModelUse { kBoth, kEncode, kDecode };

struct ModelOptions {
  std::string isa;  // "portable", "avx2", "avx512", ...; empty: MIMI_ISA, else the best there is
  int threads = 1;  // for packing the weights
  std::optional<Dtype> dtype;  // none: f32, or the one that the model was converted to
  ModelUse use = ModelUse::kBoth;
  int levels = 0;  // only the first so many will be used; 0, or more than there are: all
};

// Weights, immutable and packed for one instruction set. A copy is a reference to the same weights;
// any number of threads may use it at once.
class Model {
 public:
  // A folder with config.json and model.safetensors (Hugging Face's layout), or one .safetensors
  // file in that layout (config.json beside it) or in Kyutai's.
  static Model open(const std::string& path, const ModelOptions& options = {});
  // The small model inside the library.
  static Model embedded(const ModelOptions& options = {});

  const ModelInfo& info() const;
  std::string_view isa() const;

  struct Impl;
  explicit Model(std::shared_ptr<const Impl> impl);
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

// How many frames before a frame decide its bits: a stream begun so many frames early, at its true
// position, gives them.
struct ReceptiveField {
  std::int64_t encoder_frames;  // the published Mimi's are 999 and 1001, 80 s
  std::int64_t decoder_frames;
};
ReceptiveField receptive_field(const Model& model, Window window = Window::kOffline);

// Called with each stage's output as it is made: `rows` rows of `channels` floats, `stride` floats
// apart. Stages have mimi_ref.py's names ("encoder.3", "encoder_transformer.0", "downsample"); one
// whose ELU is fused into it is given after the ELU, as "decoder.0+elu".
using Tap = std::function<void(std::string_view stage, const float* data, int rows, int channels,
                               std::ptrdiff_t stride)>;

struct StreamOptions {
  Window window = Window::kOffline;
  int threads = 1;
  int block_frames = 0;  // frames worked on at once, 0: the library's choice; never changes a bit
  Tap tap{};
};

// Frames of a stream before the angles of their positions are no longer exact: a year.
inline constexpr std::int64_t kMostFrames = std::int64_t{1} << 29;

struct EncoderOptions {
  int levels = 8;  // 1 to ModelInfo::levels; only these are computed
  StreamOptions stream;
};

struct DecoderOptions {
  std::vector<int>
      levels;  // which level each code of a frame is, ascending: {0, 3, 4} or first_levels(8)
  StreamOptions stream;
};
std::vector<int> first_levels(int count);  // {0, 1, ..., count - 1}

// Seconds spent and floating-point operations done (a multiply-add is 2) since construction.
struct StageCost {
  double seconds = 0;
  double flop = 0;
};
struct CodecCost {
  StageCost seanet, transformer, quantizer;
};

struct EncoderPush;
struct DecoderPush;

// One stream of audio to codes. Not for use by two threads at once.
class Encoder {
 public:
  Encoder(const Model& model, const EncoderOptions& options);
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  // Appends the codes of every frame that `samples` completes, frame by frame: [frames x levels].
  // Throws when a sample is not finite. After any other throw, as of std::bad_alloc half-way, the
  // encoder refuses all but reset().
  void push(std::span<const float> samples, std::vector<std::uint16_t>& codes);
  // Zero-pads a begun frame and appends its codes. The next push begins a new stream.
  void finish(std::vector<std::uint16_t>& codes);
  // Forgets everything heard. What is pushed next is frame `first_frame` of its stream: begun at
  // least the receptive field early, the bits are the whole stream's. Throws past kMostFrames.
  // After any other throw as push().
  void reset(std::int64_t first_frame = 0);

  int levels() const;
  const CodecCost& cost() const;

 private:
  friend void push_together(std::span<const EncoderPush> pushes);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One of several pushes at once.
struct EncoderPush {
  Encoder* encoder;
  std::span<const float> samples;
  std::vector<std::uint16_t>* codes;
};
// Does encoder->push(samples, *codes) for all, reading the weights once for all streams rather than
// once for each. Each stream's codes are those it would have alone, whoever else is there; streams
// may come and go from call to call. All encoders are different ones of one model with the same
// thread count. Best given the same number of whole frames for each.
void push_together(std::span<const EncoderPush> pushes);

// One stream of codes to audio. Not for use by two threads at once.
class Decoder {
 public:
  Decoder(const Model& model, const DecoderOptions& options);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // `codes` is [frames x levels] for whole frames; appends frame_samples samples a frame.
  // Throws when a code is not below codebook_size. After any other throw as Encoder::push.
  void push(std::span<const std::uint16_t> codes, std::vector<float>& samples);
  void reset(std::int64_t first_frame = 0);  // as Encoder::reset

  const CodecCost& cost() const;

 private:
  friend void push_together(std::span<const DecoderPush> pushes);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// As above: decoder->push(codes, *samples) for all.
struct DecoderPush {
  Decoder* decoder;
  std::span<const std::uint16_t> codes;
  std::vector<float>* samples;
};
void push_together(std::span<const DecoderPush> pushes);

}  // namespace mimi
