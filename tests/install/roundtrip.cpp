// A program against the installed library: a second of a tone to tokens and back.
#include <cmath>
#include <cstdint>
#include <iostream>
#include <vector>

#include "core/codec.h"

int main() {
  const mimi::Model model = mimi::Model::embedded();
  std::vector<float> tone(static_cast<std::size_t>(model.info().sample_rate));
  for (std::size_t i = 0; i < tone.size(); ++i) tone[i] = 0.5F * std::sin(0.05F * float(i));
  std::vector<std::uint16_t> codes;
  mimi::Encoder encoder(model, {.levels = 8});
  encoder.push(tone, codes);
  encoder.finish(codes);
  std::vector<float> audio;
  mimi::Decoder decoder(model, {.levels = mimi::first_levels(8)});
  decoder.push(codes, audio);
  std::cout << codes.size() << " codes, " << audio.size() << " samples\n";
}
