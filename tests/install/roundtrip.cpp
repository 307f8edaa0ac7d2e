// A program against the installed library: a second of a tone to a token file and back.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <vector>

#include "core/codec.h"
#include "core/token_file.h"

namespace {

std::vector<std::byte> token_file(const mimi::ModelInfo& info,
                                  const std::vector<std::uint16_t>& codes) {
  std::vector<std::byte> file;
  mimi::TokenHeader header = {.sample_rate_hz = info.sample_rate,
                              .frame_samples = info.frame_samples,
                              .levels = 8,
                              .codebook_size = info.codebook_size};
  mimi::TokenWriter writer(
      [&](std::span<const std::byte> bytes) {
        file.insert(file.end(), bytes.begin(), bytes.end());
      },
      header);
  writer.begin_segment();
  writer.write(codes);
  writer.end_segment();
  writer.finish();
  return file;
}

std::vector<std::uint16_t> codes_of(std::span<const std::byte> file) {
  mimi::TokenReader reader([&](std::span<std::byte> room) {
    const std::size_t count = std::min(room.size(), file.size());
    std::copy_n(file.begin(), count, room.begin());
    file = file.subspan(count);
    return count;
  });
  std::vector<std::uint16_t> codes;
  while (const auto record = reader.next()) {
    const auto* block = std::get_if<mimi::TokenBlock>(&*record);
    if (block) codes.insert(codes.end(), block->codes.begin(), block->codes.end());
  }
  return codes;
}

}  // namespace

int main() {
  const mimi::Model model = mimi::Model::embedded();
  std::vector<float> tone(static_cast<std::size_t>(model.info().sample_rate));
  for (std::size_t i = 0; i < tone.size(); ++i) tone[i] = 0.5F * std::sin(0.05F * float(i));
  std::vector<std::uint16_t> codes;
  mimi::Encoder encoder(model, {.levels = 8});
  encoder.push(tone, codes);
  encoder.finish(codes);
  codes = codes_of(token_file(model.info(), codes));
  std::vector<float> audio;
  mimi::Decoder decoder(model, {.levels = mimi::first_levels(8)});
  decoder.push(codes, audio);
  std::cout << codes.size() << " codes, " << audio.size() << " samples\n";
}
