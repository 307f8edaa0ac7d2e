#include "tests/exact_quantizer.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace mimi::test {
namespace {

constexpr double kTie = 1e-5;

std::vector<double> project(std::span<const float> weights, std::span<const float> latent,
                            std::size_t dim) {
  std::vector<double> projected(dim);
  for (std::size_t d = 0; d < dim; ++d) {
    for (std::size_t h = 0; h < latent.size(); ++h) {
      projected[d] += double{weights[d * latent.size() + h]} * latent[h];
    }
  }
  return projected;
}

double squared_distance(std::span<const double> x, std::span<const float> entry) {
  double sum = 0;
  for (std::size_t d = 0; d < x.size(); ++d) sum += (x[d] - entry[d]) * (x[d] - entry[d]);
  return sum;
}

}  // namespace

ExactQuantizer::ExactQuantizer(Checkpoint checkpoint)
    : checkpoint_(std::move(checkpoint)),
      dim_(static_cast<std::size_t>(checkpoint_.config().codebook_dim)) {
  const Config& config = checkpoint_.config();
  const int semantic = config.num_semantic_quantizers;
  add_branch("quantizer.semantic_residual_vector_quantizer", 0, semantic);
  add_branch("quantizer.acoustic_residual_vector_quantizer", static_cast<std::size_t>(semantic),
             config.num_quantizers - semantic);
}

void ExactQuantizer::add_branch(const std::string& name, std::size_t first_level, int levels) {
  const Config& config = checkpoint_.config();
  Branch& branch = branches_.emplace_back();
  branch.first_level = first_level;
  branch.projection =
      checkpoint_.read({name + ".input_proj.weight", {config.codebook_dim, config.hidden_size, 1}});
  for (int level = 0; level < levels; ++level) {
    branch.codebooks.push_back(
        checkpoint_.read({name + ".layers." + std::to_string(level) + ".codebook",
                          {config.codebook_size, config.codebook_dim},
                          /*is_codebook=*/true}));
  }
}

Verdict ExactQuantizer::judge(std::span<const float> latent,
                              std::span<const std::uint16_t> expected,
                              std::span<const std::uint16_t> found) const {
  Verdict verdict;
  for (const Branch& branch : branches_) judge_branch(branch, latent, expected, found, verdict);
  return verdict;
}

void ExactQuantizer::judge_branch(const Branch& branch, std::span<const float> latent,
                                  std::span<const std::uint16_t> expected,
                                  std::span<const std::uint16_t> found, Verdict& verdict) const {
  std::vector<double> residual = project(branch.projection.view(), latent, dim_);
  double norm = 0;
  for (const double x : residual) norm += x * x;

  bool parted = false;
  for (std::size_t i = 0; i < branch.codebooks.size(); ++i) {
    const std::size_t level = branch.first_level + i;
    if (level == expected.size()) return;
    const auto entries = branch.codebooks[i].view();
    const auto entry = [&](std::size_t code) { return entries.subspan(code * dim_, dim_); };
    double nearest = squared_distance(residual, entry(0));
    for (std::size_t code = 1; code < entries.size() / dim_; ++code) {
      nearest = std::min(nearest, squared_distance(residual, entry(code)));
    }
    // By how much an entry is farther than the nearest.
    const auto excess = [&](std::size_t code) {
      return (squared_distance(residual, entry(code)) - nearest) / norm;
    };
    const bool parts_here = !parted && expected[level] != found[level];
    const double farther = std::max(excess(expected[level]), parted ? 0.0 : excess(found[level]));
    if (farther > kTie) verdict.excused = false;
    if (parts_here || farther > kTie) {
      std::ostringstream line;
      line << "level " << level << ": expected " << expected[level] << ", found " << found[level]
           << ", farther than the nearest by " << farther << " of the latent's squared norm\n";
      verdict.report += line.str();
    }
    parted = parted || parts_here;
    for (std::size_t d = 0; d < dim_; ++d) residual[d] -= entry(expected[level])[d];
  }
}

}  // namespace mimi::test
