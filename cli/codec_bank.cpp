#include "cli/codec_bank.h"

#include <algorithm>
#include <cstddef>

namespace mimi::cli {
namespace {

// Many streams share the memory that one has for its block.
StreamOptions with_shared_block(StreamOptions options, int streams) {
  constexpr int kFrames = 48;  // as StreamOptions has where it says nothing
  if (options.block_frames == 0 && streams > 1)
    options.block_frames = std::max(1, kFrames / streams);
  return options;
}

}  // namespace

EncoderBank::EncoderBank(const Model& model, const EncoderOptions& options, int streams)
    : levels_(static_cast<std::size_t>(options.levels)), codes_(static_cast<std::size_t>(streams)) {
  EncoderOptions own = options;
  own.stream = with_shared_block(options.stream, streams);
  for (int i = 0; i < streams; ++i) encoders_.emplace_back(model, own);
}

template <typename Feed>
void EncoderBank::gather(Feed feed, std::vector<std::uint16_t>& codes) {
  for (std::size_t s = 0; s < encoders_.size(); ++s) {
    codes_[s].clear();
    feed(s);
  }
  const std::size_t frames = codes_[0].size() / levels_;
  for (std::size_t f = 0; f < frames; ++f) {
    for (const std::vector<std::uint16_t>& stream : codes_) {
      const auto frame = std::span(stream).subspan(f * levels_, levels_);
      codes.insert(codes.end(), frame.begin(), frame.end());
    }
  }
}

void EncoderBank::push(std::span<const float> interleaved, std::vector<std::uint16_t>& codes) {
  if (encoders_.size() == 1) {
    encoders_[0].push(interleaved, codes);
    return;
  }
  const auto feed = [&](std::size_t s) {
    samples_.clear();
    for (std::size_t i = s; i < interleaved.size(); i += encoders_.size()) {
      samples_.push_back(interleaved[i]);
    }
    encoders_[s].push(samples_, codes_[s]);
  };
  gather(feed, codes);
}

void EncoderBank::finish(std::vector<std::uint16_t>& codes) {
  gather([this](std::size_t s) { encoders_[s].finish(codes_[s]); }, codes);
}

void EncoderBank::reset(std::int64_t first_frame) {
  for (Encoder& encoder : encoders_) encoder.reset(first_frame);
}

DecoderBank::DecoderBank(const Model& model, const DecoderBankOptions& options)
    : model_(model),
      options_(options.decoder),
      levels_(options.decoder.levels),
      file_levels_(static_cast<std::size_t>(options.file_levels)),
      samples_(static_cast<std::size_t>(options.streams)) {
  options_.stream = with_shared_block(options_.stream, options.streams);
}

void DecoderBank::make_decoders() {
  while (decoders_.size() < samples_.size()) decoders_.emplace_back(model_, options_);
}

void DecoderBank::push(std::span<const std::uint16_t> codes, std::vector<float>& interleaved) {
  make_decoders();
  const std::size_t streams = decoders_.size();
  const std::size_t rows = codes.size() / file_levels_;  // [frames x streams]
  for (std::size_t s = 0; s < streams; ++s) {
    codes_.clear();
    for (std::size_t row = s; row < rows; row += streams) {
      for (const int level : levels_) {
        codes_.push_back(codes[row * file_levels_ + static_cast<std::size_t>(level)]);
      }
    }
    samples_[s].clear();
    decoders_[s].push(codes_, samples_[s]);
  }
  const std::size_t samples = samples_[0].size();
  interleaved.reserve(interleaved.size() + samples * streams);
  for (std::size_t i = 0; i < samples; ++i) {
    for (std::size_t s = 0; s < streams; ++s) interleaved.push_back(samples_[s][i]);
  }
}

void DecoderBank::reset(std::int64_t first_frame) {
  make_decoders();
  for (Decoder& decoder : decoders_) decoder.reset(first_frame);
}

}  // namespace mimi::cli
