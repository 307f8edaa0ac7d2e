// The split residual vector quantiser: level 0 (semantic) and levels 1.. (acoustic) each have a
// projection of their own and quantise the same latent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/row_buffer.h"
#include "core/weight_reader.h"
#include "kernels/gemm.h"

namespace mimi {

// Value d of a codebook's entry is first[d * step].
struct CodebookEntry {
  const float* first;
  std::ptrdiff_t step;
};

// One level's entries. Encoding has them packed for the search: entry c scores x.c - |c|^2 / 2,
// which is largest where |x - c| is smallest. Where there is only decoding they lie row by row.
class Codebook {
 public:
  void load(WeightReader& reader, const std::string& prefix, bool for_search);

  CodebookEntry entry(std::uint16_t code) const;
  const kernels::PackedMatrix& scores() const { return scores_; }

 private:
  std::ptrdiff_t row_step_ = 0;
  kernels::AlignedFloats rows_;   // [size x dim padded], or none
  kernels::PackedMatrix scores_;  // or none
};

// What a quantizer is for.
struct QuantizerUse {
  bool encodes, decodes;
  int levels;  // the first so many
};

// Weights of one branch of the split.
struct ResidualQuantizer {
  // `name` is "quantizer.semantic_residual_vector_quantizer" or the acoustic one.
  ResidualQuantizer(WeightReader& reader, const std::string& name, int levels,
                    const QuantizerUse& use);

  kernels::PackedMatrix input_projection;   // hidden -> dim
  kernels::PackedMatrix output_projection;  // dim -> hidden
  std::vector<Codebook> codebooks;
};

// Weights.
struct Quantizer {
  Quantizer(WeightReader& reader, const QuantizerUse& use);
  Quantizer(const Quantizer&) = delete;
  Quantizer& operator=(const Quantizer&) = delete;

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
  void encode_branch(const ResidualQuantizer& branch, const RowBuffer& latent, int frames,
                     int levels, std::ptrdiff_t code_step, std::uint16_t* codes);
  void encode_level(const Codebook& codebook, int first_frame, int frames, std::ptrdiff_t code_step,
                    std::uint16_t* codes);
  int search(const Codebook& codebook, int first_frame, int frames);
  std::uint16_t nearest_code(int parts, int frame) const;
  void sum_entries(const std::uint16_t* codes, int frames, std::span<const int> levels,
                   std::size_t first, std::size_t last);

  const Quantizer* model_;
  int threads_;
  RowBuffer residual_;         // [block_frames x dim]
  RowBuffer sum_;              // [block_frames x dim]
  RowBuffer semantic_latent_;  // [block_frames x hidden]
  // [parts of a codebook][frames searched for together], columns counted from the first part on
  std::vector<kernels::NearestColumn> nearest_;
};

}  // namespace mimi
