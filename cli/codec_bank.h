// One encoder or decoder for each stream of a file, working on interleaved sound.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/codec.h"

namespace mimi::cli {

class EncoderBank {
 public:
  EncoderBank(const Model& model, const EncoderOptions& options, int streams);

  // `interleaved` is [samples x streams]; appends the codes of every frame that it completes,
  // [frames x streams x levels].
  void push(std::span<const float> interleaved, std::vector<std::uint16_t>& codes);
  // Zero-pads a begun frame and appends its codes.
  void finish(std::vector<std::uint16_t>& codes);
  // The next sample begins this frame of the stream.
  void reset(std::int64_t first_frame);

 private:
  template <typename Feed>
  void gather(Feed feed, std::vector<std::uint16_t>& codes);

  std::vector<Encoder> encoders_;
  std::size_t levels_;
  std::vector<float> samples_;                     // of one stream
  std::vector<std::vector<std::uint16_t>> codes_;  // of each stream, [frames x levels]
};

struct DecoderBankOptions {
  DecoderOptions decoder;  // its levels are those to decode, all below file_levels
  int file_levels = 0;     // that each frame has
  int streams = 1;
};

// The decoders are made for the first codes: a file may have many streams, and no frame.
class DecoderBank {
 public:
  DecoderBank(const Model& model, const DecoderBankOptions& options);

  // `codes` is [frames x streams x file_levels]; appends [samples x streams].
  void push(std::span<const std::uint16_t> codes, std::vector<float>& interleaved);
  // The next frame is this one of the stream that was encoded.
  void reset(std::int64_t first_frame);

 private:
  void make_decoders();

  Model model_;
  DecoderOptions options_;
  std::vector<Decoder> decoders_;
  std::vector<int> levels_;
  std::size_t file_levels_;
  std::vector<std::uint16_t> codes_;         // of one stream, [frames x levels]
  std::vector<std::vector<float>> samples_;  // of each stream
};

}  // namespace mimi::cli
