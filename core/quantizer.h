// The split residual vector quantiser: level 0 (semantic) and levels 1.. (acoustic) each have a
// projection of their own and quantise the same latent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint.h"
#include "core/row_buffer.h"
#include "kernels/gemm.h"

namespace mimi {

// One level's entries, and the same packed for the search: entry c scores x.c - |c|^2 / 2, which is
// largest where |x - c| is smallest.
class Codebook {
 public:
  Codebook(const kernels::Packing& packing, const Floats& entries, int size, int dim);

  const float* entry(std::uint16_t code) const { return entries_.data() + code * stride_; }
  const kernels::PackedMatrix& scores() const { return scores_; }

 private:
  std::ptrdiff_t stride_;
  kernels::AlignedFloats entries_;  // [size x dim padded]
  kernels::PackedMatrix scores_;
};

// Weights of one branch of the split.
struct ResidualQuantizer {
  // `name` is "quantizer.semantic_residual_vector_quantizer" or the acoustic one.
  ResidualQuantizer(const kernels::Packing& packing, const Checkpoint& checkpoint,
                    const std::string& name, int levels);

  kernels::PackedMatrix input_projection;   // hidden -> dim
  kernels::PackedMatrix output_projection;  // dim -> hidden
  std::vector<Codebook> codebooks;
};

// Weights.
struct Quantizer {
  Quantizer(const kernels::Packing& packing, const Checkpoint& checkpoint);

  // The branch that has this level, and the level's codebook there.
  const ResidualQuantizer& branch(int level) const {
    return level < semantic_levels ? semantic : acoustic;
  }
  const Codebook& codebook(int level) const;
  double encode_flop_per_frame(int levels) const;
  double decode_flop_per_frame(std::span<const int> levels) const;

  int semantic_levels, levels, dim, hidden;
  ResidualQuantizer semantic, acoustic;
};

// Scratch rows of one stream; there is no state between frames.
class QuantizerStream {
 public:
  QuantizerStream(const Quantizer& model, int block_frames, int threads);

  // Rows of latents, [frames x hidden], to codes [frames x levels], frame by frame.
  void encode(const RowBuffer& latent, int frames, int levels, std::uint16_t* codes);
  // Codes [frames x levels.size()], each of the level that `levels` (ascending) says, to rows.
  void decode(const std::uint16_t* codes, int frames, std::span<const int> levels,
              RowBuffer& latent);

 private:
  void encode_level(const Codebook& codebook, int first_frame, int last_frame,
                    std::ptrdiff_t code_step, std::uint16_t* codes);
  void encode_branch(const ResidualQuantizer& branch, const RowBuffer& latent, int frames,
                     int levels, std::ptrdiff_t code_step, std::uint16_t* codes);
  void sum_entries(const std::uint16_t* codes, int frames, std::span<const int> levels,
                   std::size_t first, std::size_t last);

  const Quantizer* model_;
  int threads_;
  RowBuffer residual_;         // [block_frames x dim]
  RowBuffer sum_;              // [block_frames x dim]
  RowBuffer semantic_latent_;  // [block_frames x hidden]
  std::vector<std::int32_t> nearest_;
};

}  // namespace mimi
