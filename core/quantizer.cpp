#include "core/quantizer.h"

#include <algorithm>
#include <limits>

#include "core/linear.h"
#include "kernels/parallel.h"

namespace mimi {
namespace {

using kernels::PackedMatrix;

void load_projection(WeightReader& reader, const std::string& name, int depth, int columns,
                     PackedMatrix& matrix) {
  const TensorSpec tensor = {name + ".weight", {columns, depth, 1}};
  reader.add({tensor}, [tensor, depth, columns, &matrix, packing = reader.packing().as_f32(),
                        &checkpoint = reader.checkpoint()] {
    const Floats weights = checkpoint.read(tensor);
    matrix = PackedMatrix(packing, linear_layout(weights.view(), depth, columns), {});
  });
}

// -|c|^2 / 2 of each entry c. Several sums at a time, since each is a chain.
std::vector<float> negative_half_norms(const Floats& entries, int size, int dim) {
  constexpr int kAtOnce = 8;
  std::vector<float> norms;
  for (int first = 0; first < size; first += kAtOnce) {
    const int count = std::min(kAtOnce, size - first);
    const float* const rows = entries.view().data() + std::ptrdiff_t{first} * dim;
    double sums[kAtOnce] = {};
    for (int d = 0; d < dim; ++d) {
      for (int c = 0; c < count; ++c) {
        const double value = rows[std::ptrdiff_t{c} * dim + d];
        sums[c] += value * value;
      }
    }
    for (int c = 0; c < count; ++c) norms.push_back(static_cast<float>(-0.5 * sums[c]));
  }
  return norms;
}

// What adding an entry costs, counted in a product's floating-point operations: its values may lie
// in as many lines of the cache.
double entry_flop(int dim) { return 64.0 * dim; }

}  // namespace

void Codebook::load(WeightReader& reader, const std::string& prefix, bool for_search) {
  const Config& config = reader.checkpoint().config();
  const int size = config.codebook_size, dim = config.codebook_dim;
  const TensorSpec tensor = {prefix, {size, dim}, /*is_codebook=*/true};
  reader.add({tensor}, [this, tensor, for_search, size, dim, packing = reader.packing().as_f32(),
                        &checkpoint = reader.checkpoint()] {
    const Floats entries = checkpoint.read(tensor);
    if (for_search) {
      scores_ = PackedMatrix(packing, linear_layout(entries.view(), dim, size),
                             negative_half_norms(entries, size, dim),
                             -std::numeric_limits<float>::infinity());
      return;
    }
    row_step_ = row_stride(dim);
    rows_ = kernels::AlignedFloats(static_cast<std::size_t>(size * row_step_));
    for (int c = 0; c < size; ++c) {
      std::copy_n(entries.view().data() + std::ptrdiff_t{c} * dim, dim,
                  rows_.data() + c * row_step_);
    }
  });
}

CodebookEntry Codebook::entry(std::uint16_t code) const {
  if (rows_.size() > 0) return {rows_.data() + code * row_step_, 1};
  const int panel = code / scores_.panel_columns();
  return {scores_.panel(panel) + code % scores_.panel_columns(),
          std::ptrdiff_t{scores_.panel_vecs(panel)} * kernels::kLanes};
}

ResidualQuantizer::ResidualQuantizer(WeightReader& reader, const std::string& name, int levels,
                                     const QuantizerUse& use)
    : codebooks(static_cast<std::size_t>(levels)) {
  const Config& config = reader.checkpoint().config();
  const int hidden = config.hidden_size, dim = config.codebook_dim;
  reader.keep(use.encodes);
  load_projection(reader, name + ".input_proj", hidden, dim, input_projection);
  reader.keep(use.decodes);
  load_projection(reader, name + ".output_proj", dim, hidden, output_projection);
  for (int level = 0; level < levels; ++level) {
    reader.keep(level < use.levels);
    codebooks[static_cast<std::size_t>(level)].load(
        reader, name + ".layers." + std::to_string(level) + ".codebook", use.encodes);
  }
}

Quantizer::Quantizer(WeightReader& reader, const QuantizerUse& use)
    : semantic_levels(reader.checkpoint().config().num_semantic_quantizers),
      levels(reader.checkpoint().config().num_quantizers),
      dim(reader.checkpoint().config().codebook_dim),
      hidden(reader.checkpoint().config().hidden_size),
      semantic(reader, "quantizer.semantic_residual_vector_quantizer", semantic_levels, use),
      acoustic(reader, "quantizer.acoustic_residual_vector_quantizer", levels - semantic_levels,
               {use.encodes, use.decodes, use.levels - semantic_levels}) {}

const Codebook& Quantizer::codebook(int level) const {
  const int first = level < semantic_levels ? 0 : semantic_levels;
  return branch(level).codebooks[static_cast<std::size_t>(level - first)];
}

double Quantizer::encode_flop_per_frame(int used_levels) const {
  double flop = 0;
  for (int level = 0; level < used_levels; ++level) {
    flop += codebook(level).scores().flop_per_row();
  }
  flop += semantic.input_projection.flop_per_row();
  if (used_levels > semantic_levels) flop += acoustic.input_projection.flop_per_row();
  return flop;
}

double Quantizer::decode_flop_per_frame(std::span<const int> used_levels) const {
  double flop = static_cast<double>(used_levels.size()) * dim;
  if (used_levels.front() < semantic_levels) flop += semantic.output_projection.flop_per_row();
  if (used_levels.back() >= semantic_levels) flop += acoustic.output_projection.flop_per_row();
  return flop;
}

QuantizerStream::QuantizerStream(const Quantizer& model, int block_frames, int threads)
    : model_(&model),
      threads_(threads),
      residual_(model.dim, 0, block_frames),
      sum_(model.dim, 0, block_frames),
      semantic_latent_(model.hidden, 0, block_frames),
      nearest_(static_cast<std::size_t>(threads * kernels::kMostNearestRows)) {}

void QuantizerStream::encode(const RowBuffer& latent, int frames, int levels,
                             std::uint16_t* codes) {
  const int semantic = std::min(levels, model_->semantic_levels);
  encode_branch(model_->semantic, latent, frames, semantic, levels, codes);
  if (levels > semantic) {
    encode_branch(model_->acoustic, latent, frames, levels - semantic, levels, codes + semantic);
  }
}

void QuantizerStream::encode_branch(const ResidualQuantizer& branch, const RowBuffer& latent,
                                    int frames, int levels, std::ptrdiff_t code_step,
                                    std::uint16_t* codes) {
  kernels::parallel_gemm(threads_, branch.input_projection, gemm_rows(latent), frames,
                         {residual_.row(0), residual_.stride(), {}});
  constexpr int kMostRows = kernels::kMostNearestRows;
  for (int first = 0; first < frames; first += kMostRows) {
    for (int level = 0; level < levels; ++level) {
      encode_level(branch.codebooks[static_cast<std::size_t>(level)], first,
                   std::min(kMostRows, frames - first), code_step,
                   codes + first * code_step + level);
    }
  }
}

// Finds each frame's nearest entry and leaves in residual_ what it does not explain.
void QuantizerStream::encode_level(const Codebook& codebook, int first_frame, int frames,
                                   std::ptrdiff_t code_step, std::uint16_t* codes) {
  const int parts = search(codebook, first_frame, frames);
  const int threads = kernels::worthwhile_threads(threads_, frames * entry_flop(model_->dim));
  const int slices = std::min(threads, frames);
  kernels::parallel_for(threads, slices, [&](int slice, int) {
    const int last = frames * (slice + 1) / slices;
    for (int frame = frames * slice / slices; frame < last; ++frame) {
      const std::uint16_t code = nearest_code(parts, frame);
      codes[frame * code_step] = code;
      const CodebookEntry entry = codebook.entry(code);
      float* row = residual_.row(first_frame + frame);
      for (int d = 0; d < model_->dim; ++d) row[d] -= entry.first[d * entry.step];
    }
  });
}

// Fills nearest_ for residual_'s rows; returns into how many parts the codebook was cut, each
// thread having entries of its own, so that no two read the same.
int QuantizerStream::search(const Codebook& codebook, int first_frame, int frames) {
  const PackedMatrix& scores = codebook.scores();
  const int parts = std::min(scores.panels(),
                             kernels::worthwhile_threads(threads_, frames * scores.flop_per_row(),
                                                         static_cast<double>(scores.bytes())));
  kernels::parallel_for(parts, parts, [&](int part, int) {
    const int first_panel = scores.panels() * part / parts;
    const int last_panel = scores.panels() * (part + 1) / parts;
    const int first = first_panel * scores.panel_columns();
    const int last = std::min(last_panel * scores.panel_columns(), scores.columns());
    kernels::NearestColumn* nearest = nearest_.data() + part * kernels::kMostNearestRows;
    scores.table().nearest({.a = gemm_rows(residual_, first_frame),
                            .rows = frames,
                            .panels = scores.panel(first_panel),
                            .columns = last - first,
                            .bias = scores.bias(first_panel),
                            .nearest = nearest});
    for (int frame = 0; frame < frames; ++frame) nearest[frame].column += first;
  });
  return parts;
}

std::uint16_t QuantizerStream::nearest_code(int parts, int frame) const {
  kernels::NearestColumn best = nearest_[static_cast<std::size_t>(frame)];
  for (int part = 1; part < parts; ++part) {
    const auto at = static_cast<std::size_t>(part * kernels::kMostNearestRows + frame);
    if (nearest_[at].score > best.score) best = nearest_[at];  // the lower column keeps a tie
  }
  return static_cast<std::uint16_t>(best.column);
}

void QuantizerStream::decode(const std::uint16_t* codes, int frames, std::span<const int> levels,
                             RowBuffer& latent) {
  const auto is_semantic = [&](int level) { return level < model_->semantic_levels; };
  const auto semantic =
      static_cast<std::size_t>(std::count_if(levels.begin(), levels.end(), is_semantic));
  const bool both = semantic > 0 && semantic < levels.size();
  RowBuffer& semantic_output = both ? semantic_latent_ : latent;
  if (semantic > 0) {
    sum_entries(codes, frames, levels, 0, semantic);
    kernels::parallel_gemm(threads_, model_->semantic.output_projection, gemm_rows(sum_), frames,
                           {semantic_output.row(0), semantic_output.stride(), {}});
  }
  if (semantic < levels.size()) {
    sum_entries(codes, frames, levels, semantic, levels.size());
    kernels::GemmOutput output = {latent.row(0), latent.stride(), {}};
    if (both) {
      output.epilogue.residual = semantic_latent_.row(0);
      output.epilogue.residual_stride = semantic_latent_.stride();
    }
    kernels::parallel_gemm(threads_, model_->acoustic.output_projection, gemm_rows(sum_), frames,
                           output);
  }
}

// Fills sum_ with the entries of levels[first .. last), added in that order.
void QuantizerStream::sum_entries(const std::uint16_t* codes, int frames,
                                  std::span<const int> levels, std::size_t first,
                                  std::size_t last) {
  const auto used = static_cast<double>(last - first);
  const int threads =
      kernels::worthwhile_threads(threads_, frames * used * entry_flop(model_->dim));
  const int slices = std::min(threads, frames);
  kernels::parallel_for(threads, slices, [&](int slice, int) {
    const int end = frames * (slice + 1) / slices;
    for (int t = frames * slice / slices; t < end; ++t) {
      float* row = sum_.row(t);
      std::fill_n(row, model_->dim, 0.0f);
      for (std::size_t i = first; i < last; ++i) {
        const std::uint16_t code = codes[static_cast<std::size_t>(t) * levels.size() + i];
        const CodebookEntry entry = model_->codebook(levels[i]).entry(code);
        for (int d = 0; d < model_->dim; ++d) row[d] += entry.first[d * entry.step];
      }
    }
  });
}

}  // namespace mimi
