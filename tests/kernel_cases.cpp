#include "tests/kernel_cases.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <utility>

#include "kernels/gemm.h"
#include "tests/guarded.h"
#include "tests/kernel_panel_cases.h"
#include "tests/kernel_values.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::AttentionTask;
using kernels::GemmInput;
using kernels::KernelTable;
using kernels::kLanes;

// --- nearest ---

class NearestCase : public KernelCase {
 public:
  NearestCase(Values values, int rows, int depth, int columns)
      : NearestCase(values, rows, depth, columns,
                    random_values(std::ptrdiff_t{rows} * depth, values, 11)) {}

  NearestCase(Values values, int rows, int depth, int columns, const std::vector<float>& input)
      : rows_(rows),
        depth_(depth),
        columns_(columns),
        input_(input),
        a_({input_.data(), depth, 0, 1, depth}),
        weights_(random_values(std::ptrdiff_t{depth} * columns, values, 6)),
        bias_(random_values(columns, values, 7)),
        found_(static_cast<std::size_t>(rows) + 2) {
    for (float& b : bias_) b -= 50;  // all scores negative: below the padding's raw 0
  }

  std::string name() const override {
    return "nearest, " + std::to_string(rows_) + " x " + std::to_string(depth_) + " x " +
           std::to_string(columns_);
  }
  double flop() const override { return 2.0 * rows_ * depth_ * columns_; }

  void prepare(const KernelTable& table) override {
    std::fill(found_.begin(), found_.end(), kernels::NearestColumn{0.0f, kPoison});
    if (packed_.contains(&table)) return;
    const kernels::WeightLayout layout = {.data = weights_.data(),
                                          .tap_step = 0,
                                          .depth_step = 1,
                                          .column_step = depth_,
                                          .taps = 1,
                                          .depth = depth_,
                                          .columns = columns_};
    const kernels::PackedMatrix matrix({&table}, layout, bias_,
                                       -std::numeric_limits<float>::infinity());
    const auto width = static_cast<std::size_t>(padded(columns_));
    packed_.emplace(&table, Packed{GuardedFloats(std::span(matrix.panel(0), width * input_depth())),
                                   GuardedFloats(std::span(matrix.bias(0), width))});
  }

  void call(const KernelTable& table) override {
    const Packed& packed = packed_.at(&table);
    table.nearest({.a = a_,
                   .rows = rows_,
                   .panels = packed.panels.data(),
                   .columns = columns_,
                   .bias = packed.bias.data(),
                   .nearest = found_.data() + 1});
  }

  // The lowest of the columns that may be the best within rounding's reach; on integers, exactly.
  std::string fault() const override {
    if (found_.front().column != kPoison || found_.back().column != kPoison) {
      return "written beyond the rows";
    }
    for (int t = 0; t < rows_; ++t) {
      const auto [score_told, found] = found_[static_cast<std::size_t>(t) + 1];
      if (found < 0 || found >= columns_) return "row " + std::to_string(t) + " has no column";
      const int best = best_column(t);
      const Bounded found_score = score(t, found), best_score = score(t, best);
      if (std::abs(score_told - found_score.value) > found_score.bound) {
        return "row " + std::to_string(t) + " has score " + std::to_string(score_told) +
               ", expected " + std::to_string(found_score.value);
      }
      const double slack = exact() ? 0 : found_score.bound + best_score.bound;
      const bool lowest = !exact() || found == best;
      if (lowest && !(found_score.value < best_score.value - slack)) continue;
      return "row " + std::to_string(t) + " has column " + std::to_string(found) + ", expected " +
             std::to_string(best);
    }
    return {};
  }

  std::vector<float> output() const override {
    std::vector<float> values;
    for (const auto& [score, column] : found_) {
      values.push_back(score);
      values.push_back(static_cast<float>(column));
    }
    return values;
  }

 private:
  static constexpr std::int32_t kPoison = -12345;
  struct Packed {
    GuardedFloats panels, bias;
  };

  bool exact() const { return depth_ < 8; }  // integers, or not numbers at all
  std::size_t input_depth() const { return static_cast<std::size_t>(depth_); }
  Bounded score(int t, int column) const {
    return product(a_, t, weights_.data() + std::ptrdiff_t{column} * depth_, 1,
                   bias_[static_cast<std::size_t>(column)]);
  }
  int best_column(int t) const {
    int best = 0;  // where no score is a number
    double best_score = -std::numeric_limits<double>::infinity();
    for (int column = 0; column < columns_; ++column) {
      const double value = score(t, column).value;
      if (!(value > best_score)) continue;
      best = column;
      best_score = value;
    }
    return best;
  }

  const int rows_, depth_, columns_;
  const GuardedFloats input_;
  const GemmInput a_;
  const std::vector<float> weights_;  // [columns][depth]
  std::vector<float> bias_;
  std::map<const KernelTable*, Packed> packed_;
  std::vector<kernels::NearestColumn> found_;  // between two that nobody may write
};

void add_nearest(KernelCases& cases) {
  for (const int rows : tile_heights(kernels::Dtype::kF32)) {
    // Few values: many ties.
    for (const int columns : {1, 15, 16, 17, 31, 32, 33, 100}) {
      cases.push_back(std::make_unique<NearestCase>(Values::kInteger, rows, 3, columns));
    }
  }
  cases.push_back(std::make_unique<NearestCase>(Values::kReal, 15, 32, 2048));
  const std::vector<float> not_numbers(4, kNaN);
  cases.push_back(std::make_unique<NearestCase>(Values::kReal, 1, 4, 40, not_numbers));
}

// --- dot_rows ---

class DotRowsCase : public KernelCase {
 public:
  DotRowsCase(int rows, int taps, int depth)
      : rows_(rows),
        depth_(depth),
        input_(random_values(std::ptrdiff_t{rows - 1 + taps} * padded(depth), Values::kReal, 1)),
        // The depth with its padding, whose products are zero.
        whole_({input_.data(), padded(depth), padded(depth), taps, padded(depth)}),
        weights_(padded_weights(taps, depth)),
        output_(rows, 1, 1) {}

  std::string name() const override {
    return "dot_rows, " + std::to_string(rows_) + " x " + std::to_string(whole_.taps) + " x " +
           std::to_string(depth_);
  }
  double flop() const override { return 2.0 * rows_ * whole_.taps * depth_; }
  void prepare(const KernelTable& /*table*/) override { output_.poison(); }
  void call(const KernelTable& table) override {
    GemmInput a = whole_;
    a.depth = depth_;
    table.dot_rows(a, rows_, weights_.data(), kBias, output_.data());
  }
  std::string fault() const override {
    if (!output_.fault().empty()) return output_.fault();
    for (int t = 0; t < rows_; ++t) {
      const Bounded expected = product(whole_, t, weights_.data(), 1, kBias);
      if (!within(expected, output_.at(t, 0))) return at(t, 0, expected, output_.at(t, 0));
    }
    return {};
  }
  std::vector<float> output() const override { return output_.written(); }

 private:
  static constexpr float kBias = 0.25F;

  static std::vector<float> padded_weights(int taps, int depth) {
    auto weights = random_values(std::ptrdiff_t{taps} * padded(depth), Values::kReal, 2);
    for (int i = 0; i < taps * padded(depth); ++i) {
      if (i % padded(depth) >= depth) weights[static_cast<std::size_t>(i)] = 0;
    }
    return weights;
  }

  const int rows_, depth_;
  const GuardedFloats input_;
  const GemmInput whole_;
  const GuardedFloats weights_;
  GuardedRows output_;
};

void add_dot_rows(KernelCases& cases) {
  for (const int rows : {1, 9}) {
    for (const auto& [taps, depth] : {std::pair{1, 16}, {3, 4}, {3, 64}, {7, 17}}) {
      cases.push_back(std::make_unique<DotRowsCase>(rows, taps, depth));
    }
  }
}

// --- layer_norm ---

class LayerNormCase : public KernelCase {
 public:
  explicit LayerNormCase(int channels)
      : channels_(channels),
        x_(rows(channels)),
        weight_(zero_padded(channels, 4)),
        bias_(zero_padded(channels, 5)),
        y_(kRows, padded(channels), stride() + 5) {}

  std::string name() const override {
    return "layer_norm, " + std::to_string(kRows) + " x " + std::to_string(channels_);
  }
  double flop() const override { return 7.0 * kRows * channels_; }
  void prepare(const KernelTable& /*table*/) override { y_.poison(); }
  void call(const KernelTable& table) override {
    table.layer_norm(x_.data(), stride(), kRows, channels_, weight_.data(), bias_.data(), kEpsilon,
                     y_.data(), y_.stride());
  }
  std::string fault() const override {
    if (!y_.fault().empty()) return y_.fault();
    for (int t = 0; t < kRows; ++t) {
      const auto expected =
          layer_norm({x_.data() + t * stride(), static_cast<std::size_t>(channels_)},
                     weight_.data(), bias_.data(), kEpsilon);
      for (int c = 0; c < padded(channels_); ++c) {
        const Bounded y = c < channels_ ? expected[static_cast<std::size_t>(c)] : Bounded{0, 0};
        if (!within(y, y_.at(t, c))) return at(t, c, y, y_.at(t, c));
      }
    }
    return {};
  }
  std::vector<float> output() const override { return y_.written(); }

 private:
  static constexpr int kRows = 3;
  static constexpr float kEpsilon = 1e-5F;

  static std::vector<float> zero_padded(int channels, unsigned seed) {
    auto values = random_values(channels, Values::kReal, seed);
    values.resize(static_cast<std::size_t>(padded(channels)));
    return values;
  }
  // A Vec of NaN after each row but the last.
  static std::vector<float> rows(int channels) {
    std::vector<float> all;
    for (unsigned t = 0; t < kRows; ++t) {
      if (t > 0) all.insert(all.end(), kLanes, kNaN);
      auto row = zero_padded(channels, 30 + t);
      for (int c = 0; c < channels; ++c) row[static_cast<std::size_t>(c)] += 0.5F;
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }
  int stride() const { return padded(channels_) + kLanes; }

  const int channels_;
  const GuardedFloats x_, weight_, bias_;
  GuardedRows y_;
};

void add_layer_norm(KernelCases& cases) {
  for (const int channels : {1, 15, 16, 17, 32, 192, 500, 512}) {
    cases.push_back(std::make_unique<LayerNormCase>(channels));
  }
}

// --- attention ---

// Rings whose every slot outside the attended steps holds NaN.
struct Rings {
  Rings(int head_dim, std::int64_t blocks, std::int64_t first, std::int64_t last)
      : keys(static_cast<std::size_t>(blocks * head_dim * kLanes), kNaN),
        values(static_cast<std::size_t>(blocks * kLanes * padded(head_dim)), kNaN) {
    const std::int64_t width = padded(head_dim);
    const auto drawn = random_values(2 * (last - first + 1) * head_dim, Values::kReal, 7);
    auto next = drawn.begin();
    for (std::int64_t step = first; step <= last; ++step) {
      const std::int64_t block = step / kLanes % blocks, lane = step % kLanes;
      for (std::int64_t d = 0; d < width; ++d) {
        const bool real = d < head_dim;
        values[static_cast<std::size_t>((block * kLanes + lane) * width + d)] = real ? *next++ : 0;
        if (real) keys[static_cast<std::size_t>((block * head_dim + d) * kLanes + lane)] = *next++;
      }
    }
  }
  std::vector<float> keys, values;
};

struct Steps {
  std::int64_t first, last;
};

// Up to as many queries as a task has.
class AttentionCase : public KernelCase {
 public:
  AttentionCase(int head_dim, std::int64_t blocks, const std::vector<Steps>& steps)
      : AttentionCase(head_dim, blocks, steps,
                      Rings(head_dim, blocks, steps.front().first, steps.back().last)) {}

  std::string name() const override {
    std::string name = "attention, dimensions " + std::to_string(task_.head_dim) + ", blocks " +
                       std::to_string(task_.blocks);
    for (int i = 0; i < task_.count; ++i) {
      name += ", steps " + std::to_string(task_.queries[i].first_step) + " to " +
              std::to_string(task_.queries[i].last_step);
    }
    return name;
  }
  double flop() const override {
    std::int64_t steps = 0;
    for (int i = 0; i < task_.count; ++i) {
      steps += task_.queries[i].last_step - task_.queries[i].first_step + 1;
    }
    return 4.0 * task_.head_dim * static_cast<double>(steps);
  }
  void prepare(const KernelTable& /*table*/) override { output_.poison(); }
  void call(const KernelTable& table) override { table.attention(task_); }
  std::string fault() const override {
    if (!output_.fault().empty()) return output_.fault();
    for (int i = 0; i < task_.count; ++i) {
      const auto expected = attention(task_, task_.queries[i]);
      for (int d = 0; d < task_.head_dim; ++d) {
        const Bounded& value = expected[static_cast<std::size_t>(d)];
        if (!within(value, output_.at(i, d))) return at(i, d, value, output_.at(i, d));
      }
    }
    return {};
  }
  std::vector<float> output() const override { return output_.written(); }

 private:
  AttentionCase(int head_dim, std::int64_t blocks, const std::vector<Steps>& steps,
                const Rings& rings)
      : keys_(rings.keys),
        values_(rings.values),
        output_(static_cast<int>(steps.size()), padded(head_dim), padded(head_dim)),
        task_({.keys = keys_.data(),
               .values = values_.data(),
               .next_keys = keys_.data(),
               .head_dim = head_dim,
               .blocks = blocks,
               .count = static_cast<int>(steps.size()),
               .queries = {}}) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      queries_.emplace_back(
          random_values(padded(head_dim), Values::kReal, static_cast<unsigned>(6 + i)));
      weights_.emplace_back(static_cast<std::size_t>(blocks * kLanes));
      task_.queries[i] = {
          .query = queries_[i].data(),
          .first_step = steps[i].first,
          .last_step = steps[i].last,
          .weights = weights_[i].data(),
          .output = output_.data() + static_cast<std::ptrdiff_t>(i) * output_.stride()};
    }
  }

  const GuardedFloats keys_, values_;
  std::vector<GuardedFloats> queries_, weights_;
  GuardedRows output_;
  AttentionTask task_;
};

// Windows anywhere in the ring, after ten hours too; and further queries whose windows lie further
// on by as much as the rules make them, or begin after the first one's end.
void add_attention(KernelCases& cases) {
  constexpr std::int64_t kTenHours = 10 * 3600 * 25;
  for (const int head_dim : {8, 16, 24, 32, 64, 80}) {
    const auto add = [&](std::int64_t blocks, const std::vector<Steps>& steps) {
      if (steps.back().last - steps.front().first >= kLanes * (blocks - 1)) return;
      cases.push_back(std::make_unique<AttentionCase>(head_dim, blocks, steps));
    };
    for (const std::int64_t blocks : {2, 3, 18}) {
      for (const std::int64_t last : {std::int64_t{0}, std::int64_t{15}, std::int64_t{16},
                                      std::int64_t{47}, std::int64_t{300}, kTenHours + 5}) {
        for (const std::int64_t reach : {1, 10, 16, 250}) {
          const std::int64_t first = std::max<std::int64_t>(0, last - reach + 1);
          add(blocks, {{first, last}});
          for (const std::int64_t later : {0, 1, 2}) {
            add(blocks, {{first, last}, {std::min(first + later, last + 1), last + 1}});
          }
          add(blocks, {{first, last}, {last + 3, last + 4}});
          std::vector<Steps> more = {{first, last}};
          for (const std::int64_t later : {0, 1, 2}) {
            more.push_back({std::max(more.back().first, first + later), last + later + 1});
            add(blocks, more);
          }
          add(blocks,
              {{first, last}, {last + 1, last + 1}, {last + 1, last + 4}, {last + 3, last + 5}});
        }
      }
    }
  }
}

}  // namespace

const std::vector<CheckedKernel>& checked_kernels() {
  static const std::vector<CheckedKernel> kernels = {{"f32_panel", add_f32_panels},
                                                     {"bf16.panel", add_bf16_panels},
                                                     {"bf16.round_rows", add_round_rows},
                                                     {"int8.panel", add_int8_panels},
                                                     {"int8.quantize_rows", add_quantize_rows},
                                                     {"nearest", add_nearest},
                                                     {"dot_rows", add_dot_rows},
                                                     {"layer_norm", add_layer_norm},
                                                     {"attention", add_attention}};
  return kernels;
}

}  // namespace mimi::test
