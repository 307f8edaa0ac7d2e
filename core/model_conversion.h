// A checkpoint as the weights that one dtype computes with.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/checkpoint.h"
#include "core/codec.h"

namespace mimi {

// Writes a .safetensors file in Hugging Face's names, to which config_json() of the checkpoint's
// dimensions belongs. What `dtype` multiplies in bf16 is BF16 in it, what it multiplies in int8 is
// I8 with scales (see Checkpoint), and everything else BF16 where that loses nothing, F32
// elsewhere. Its models are computed in that dtype alone and give the bits that the checkpoint's
// give in it, so they keep the checkpoint's fingerprint. Throws Error where the checkpoint is not a
// whole Mimi, or was converted already, or `dtype` is f32; and what `write` throws.
void convert_model(const Checkpoint& checkpoint, Dtype dtype,
                   const std::function<void(std::span<const std::uint8_t>)>& write);

}  // namespace mimi
