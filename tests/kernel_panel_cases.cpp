#include "tests/kernel_panel_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>

#include "kernels/float_mode.h"
#include "tests/emulated_amx.h"
#include "tests/guarded.h"
#include "tests/kernel_values.h"
#include "tests/reference.h"

namespace mimi::test {
namespace {

using kernels::Activation;
using kernels::Dtype;
using kernels::Epilogue;
using kernels::GemmInput;
using kernels::KernelTable;
using kernels::kLanes;
using kernels::values_per_step;

int widest_panel() {
  int vecs = 1;
  for (const KernelTable* table : checked_tables()) vecs = std::max(vecs, table->panel_vecs);
  return vecs;
}

// The upper half of a float's bits; `x` is a value of bf16.
std::uint32_t bf16_bits(float x) { return std::bit_cast<std::uint32_t>(x) >> 16; }

// The float that holds one step's values of a column, each `stride` floats after the one before.
float packed_step(Dtype dtype, const float* value, std::ptrdiff_t stride) {
  if (dtype == Dtype::kF32) return *value;
  if (dtype == Dtype::kBf16) {
    return std::bit_cast<float>(bf16_bits(value[0]) | bf16_bits(value[stride]) << 16);
  }
  std::uint32_t quad = 0;
  for (int i = 0; i < 4; ++i) {
    const auto byte = static_cast<std::int8_t>(value[i * stride]);
    quad |= std::uint32_t{static_cast<std::uint8_t>(byte)} << 8 * i;
  }
  return std::bit_cast<float>(quad);
}

// What holds one step's values of a row: one float, or two.
void append_row_step(Dtype dtype, int floats, const float* values, std::vector<float>& out) {
  if (floats == 2) {
    out.insert(out.end(), values, values + 2);
  } else if (dtype != Dtype::kInt8) {
    out.push_back(packed_step(dtype, values, 1));
  } else {
    std::uint32_t quad = 0;
    for (int i = 0; i < 4; ++i) {
      // Between the rows, where there is no number, a byte that would make a sum too large.
      const float byte = std::isnan(values[i]) ? 255.0F : values[i] + 128.0F;
      quad |= std::uint32_t{static_cast<std::uint8_t>(byte)} << 8 * i;
    }
    out.push_back(std::bit_cast<float>(quad));
  }
}

int floats_per_step(const KernelTable& table, Dtype dtype) {
  return dtype == Dtype::kBf16 ? table.bf16.floats_per_pair : 1;
}

struct EpilogueKind {
  const char* name;
  Activation activation;
  bool residual, scale, activated;
  bool cut = false;  // the depth is summed in two calls, the second from what the first left
};
constexpr EpilogueKind kEpilogues[] = {
    {"raw", Activation::kNone, false, false, false},
    {"raw, depth cut in two", Activation::kNone, false, false, false, true},
    {"ELU", Activation::kElu, false, false, false},
    {"coarse ELU", Activation::kEluCoarse, false, false, false},
    {"GELU", Activation::kGelu, false, false, false},
    {"residual", Activation::kNone, true, false, false},
    {"scaled residual", Activation::kNone, true, true, false},
    {"ELU of residual", Activation::kElu, true, false, false},
    {"raw and ELU", Activation::kElu, false, false, true},
    {"scaled residual and its ELU", Activation::kElu, true, true, true},
    {"scaled residual and its GELU", Activation::kGelu, true, true, true},
};

// A shape in steps, as those of a value each.
GemmInput of_values(const GemmInput& steps, int values) {
  return {steps.data, steps.row_step * values, steps.tap_step * values, steps.taps,
          steps.depth * values};
}

class PanelCase : public KernelCase {
 public:
  // `shape` is in steps.
  PanelCase(Dtype dtype, Values values, int rows, const GemmInput& shape, int vecs,
            const EpilogueKind& kind)
      : dtype_(dtype),
        kind_of_values_(values),
        rows_(rows),
        vecs_(vecs),
        kind_(kind),
        shape_(shape),
        values_(rows_with_gaps(rows, of_values(shape, step()), values)),
        a_(of_values(shape, step())),
        weights_(random_values(std::ptrdiff_t{depth()} * columns(), values, 2)),
        bias_(random_values(columns(), other_values(), 3)),
        residual_(rows_with_gaps(rows, {nullptr, columns() + 3, 0, 1, columns()}, other_values())),
        scale_(random_values(columns(), other_values(), 5)),
        row_scales_(
            rows_with_gaps(rows, {nullptr, shape.taps + 2, 1, shape.taps, 1}, other_values())),
        column_scales_(random_values(columns(), other_values(), 6)),
        offsets_(offsets()),
        output_(rows, columns(), columns() + 13),
        activated_(rows, kind.activated ? columns() : 0, columns() + 5) {
    a_.data = values_.data();
    for (int v = 0; v < vecs; ++v) columns_of_vec_.emplace_back(weights_of(v, 1));
    panel_.emplace_back(weights_of(0, vecs));
  }

  std::string name() const override {
    static constexpr const char* kNames[] = {"f32_panel", "bf16.panel", "int8.panel"};
    return std::string(kNames[static_cast<int>(dtype_)]) + ", " + std::to_string(rows_) + " x " +
           std::to_string(a_.taps) + " x " + std::to_string(a_.depth) + " x " +
           std::to_string(columns()) +
           (kind_of_values_ == Values::kInteger ? ", integers, " : ", ") + kind_.name;
  }
  double flop() const override { return 2.0 * rows_ * depth() * columns(); }

  void prepare(const KernelTable& table) override {
    output_.poison();
    activated_.poison();
    const int floats = floats_per_step(table, dtype_);
    if (input_.contains(floats)) return;
    std::vector<float> all;
    for (std::size_t i = 0; i < values_.size(); i += static_cast<std::size_t>(step())) {
      append_row_step(dtype_, floats, values_.data() + i, all);
    }
    input_.emplace(floats, all);
  }

  // What is wider than the table's panels goes Vec by Vec.
  void call(const KernelTable& table) override {
    std::optional<kernels::ScopedFloatMode> mode;
    if (dtype_ == Dtype::kBf16) mode.emplace(kernels::FloatMode::kFlushSubnormals);
    if (vecs_ <= table.panel_vecs) return call_panel(table, panel_.front(), 0, vecs_);
    for (int v = 0; v < vecs_; ++v) {
      call_panel(table, columns_of_vec_[static_cast<std::size_t>(v)], v, 1);
    }
  }

  std::string fault() const override {
    for (const std::string& fault : {output_.fault(), activated_.fault()}) {
      if (!fault.empty()) return fault;
    }
    for (int t = 0; t < rows_; ++t) {
      for (int column = 0; column < columns(); ++column) {
        const std::string fault = element_fault(t, column);
        if (!fault.empty()) return fault;
      }
    }
    return {};
  }

  std::vector<float> output() const override {
    std::vector<float> all = output_.written();
    const std::vector<float> activated = activated_.written();
    all.insert(all.end(), activated.begin(), activated.end());
    return all;
  }

 private:
  int step() const { return values_per_step(dtype_); }
  int depth() const { return shape_.taps * shape_.depth * step(); }
  int columns() const { return vecs_ * kLanes; }
  Values other_values() const {
    return kind_of_values_ == Values::kInteger ? Values::kInteger : Values::kReal;
  }

  std::vector<float> weights_of(int first_vec, int vecs) const {
    std::vector<float> panel;
    for (int k = 0; k < depth(); k += step()) {
      const float* row = weights_.data() + k * columns() + first_vec * kLanes;
      for (int c = 0; c < vecs * kLanes; ++c) {
        panel.push_back(packed_step(dtype_, row + c, columns()));
      }
    }
    return panel;
  }

  // [taps][columns], for int8.
  std::vector<float> offsets() const {
    std::vector<float> all;
    if (dtype_ != Dtype::kInt8) return all;
    for (int tap = 0; tap < a_.taps; ++tap) {
      for (int column = 0; column < columns(); ++column) {
        std::int32_t sum = 0;
        for (int d = 0; d < a_.depth; ++d) {
          sum += static_cast<std::int32_t>(weight(tap * a_.depth + d, column));
        }
        all.push_back(std::bit_cast<float>(-128 * sum));
      }
    }
    return all;
  }
  float weight(int k, int column) const {
    return weights_[static_cast<std::size_t>(k * columns() + column)];
  }

  Epilogue epilogue(int column) {
    Epilogue e = {.activation = kind_.activation};
    if (kind_.residual) e.residual = residual_.data() + column;
    e.residual_stride = columns() + 3;
    if (kind_.scale) e.scale = scale_.data() + column;
    if (kind_.activated) e.activated = activated_.data() + column;
    e.activated_stride = activated_.stride();
    return e;
  }

  RowScales row_scales() const { return {row_scales_.data(), a_.taps + 2, 1}; }

  void run_panel(const KernelTable& table, const kernels::PanelTask& task) const {
    if (dtype_ == Dtype::kF32) return table.f32_panel(task);
    if (dtype_ == Dtype::kBf16) return table.bf16.panel(task);
    table.int8.panel(task);
  }

  void call_panel(const KernelTable& table, const GuardedFloats& panel, int first_vec, int vecs) {
    const int column = first_vec * kLanes;
    const int floats = floats_per_step(table, dtype_);
    const Epilogue e = epilogue(column);
    kernels::Int8Scaling scaling = {.row_scales = row_scales_.data(),
                                    .row_step = row_scales().row_step,
                                    .tap_step = row_scales().tap_step,
                                    .offsets = offsets_.data() + column,
                                    .offset_step = columns(),
                                    .column_scales = column_scales_.data() + column,
                                    .first = true};
    kernels::PanelTask task = {.a = {input_.at(floats).data(), shape_.row_step * floats,
                                     shape_.tap_step * floats, shape_.taps, shape_.depth},
                               .rows = rows_,
                               .panel = panel.data(),
                               .vecs = vecs,
                               .bias = bias_.data() + column,
                               .output = output_.data() + column,
                               .output_stride = output_.stride(),
                               .epilogue = &e,
                               .int8 = dtype_ == Dtype::kInt8 ? &scaling : nullptr};
    if (kind_.cut) {
      // In int8 after the first tap, whose sum is one; else within it.
      const bool int8 = dtype_ == Dtype::kInt8;
      const int cut = int8 ? shape_.depth : shape_.depth / 3;
      task.a.taps = 1;
      task.a.depth = cut;
      task.epilogue = nullptr;
      run_panel(table, task);
      task.a.data += int8 ? task.a.tap_step : std::ptrdiff_t{cut} * floats;
      task.a.taps = int8 ? shape_.taps - 1 : 1;
      task.a.depth = int8 ? shape_.depth : shape_.depth - cut;
      task.panel += cut * vecs * kLanes;
      if (!int8) task.bias = nullptr;
      task.epilogue = &e;
      scaling.row_scales += scaling.tap_step;
      scaling.offsets += scaling.offset_step;
      scaling.first = false;
    }
    run_panel(table, task);
  }

  Bounded sum(int t, int column) const {
    const float* weights = weights_.data() + column;
    const float bias = bias_.data()[column];
    if (dtype_ != Dtype::kInt8) return product(a_, t, weights, columns(), bias);
    return scaled_product(a_, t, weights, columns(), row_scales(), column_scales_.data()[column],
                          bias);
  }

  std::string element_fault(int t, int column) const {
    const Epilogue e = const_cast<PanelCase*>(this)->epilogue(0);
    Bounded y = add_residual(e, t, column, sum(t, column));
    if (kind_of_values_ == Values::kInteger) y.bound = 0;
    const Bounded result = activate(kind_.activation, y);
    const float found = output_.at(t, column);
    const Bounded& expected = kind_.activated ? y : result;
    if (!within(expected, found)) return at(t, column, expected, found);
    if (kind_.activated && !within(result, activated_.at(t, column))) {
      return "activated: " + at(t, column, result, activated_.at(t, column));
    }
    return order_fault(t, column, found);
  }

  // The order of the sums, to the bit; test_low_precision.cpp has that of the other dtypes.
  std::string order_fault(int t, int column, float found) const {
    const bool raw = !kind_.residual && (kind_.activation == Activation::kNone || kind_.activated);
    if (dtype_ != Dtype::kF32 || !raw) return {};
    const float chain =
        product_chain(a_, t, weights_.data() + column, columns(), bias_.data()[column]);
    if (std::bit_cast<std::uint32_t>(found) == std::bit_cast<std::uint32_t>(chain)) return {};
    return "not the promised order of sums: " + at(t, column, {chain, 0}, found);
  }

  const Dtype dtype_;
  const Values kind_of_values_;
  const int rows_, vecs_;
  const EpilogueKind kind_;
  const GemmInput shape_;             // in steps
  const std::vector<float> values_;   // of the rows, one a float
  GemmInput a_;                       // of values_
  const std::vector<float> weights_;  // [depth][columns], one a float
  const GuardedFloats bias_, residual_, scale_, row_scales_, column_scales_, offsets_;
  std::vector<GuardedFloats> panel_, columns_of_vec_;
  std::map<int, GuardedFloats> input_;  // by the floats a step
  GuardedRows output_, activated_;
};

void add_panels(Dtype dtype, KernelCases& cases) {
  // Values that the dtype holds as they are.
  const Values values = dtype == Dtype::kF32 ? Values::kReal : Values::kBytes;
  for (const int rows : tile_heights(dtype)) {
    for (int vecs = 1; vecs <= widest_panel(); ++vecs) {
      for (const EpilogueKind& kind : kEpilogues) {
        const auto add = [&](Values drawn, const GemmInput& shape) {
          cases.push_back(std::make_unique<PanelCase>(dtype, drawn, rows, shape, vecs, kind));
        };
        const bool cut_by_taps = kind.cut && dtype == Dtype::kInt8;
        if (!cut_by_taps) add(values, {nullptr, 11, 0, 1, 37});               // rows overlap
        if (cut_by_taps || !kind.cut) add(values, {nullptr, 19, 23, 3, 16});  // taps lie apart
        if (kind.cut) continue;
        add(values, {nullptr, 1, 0, 1, 1});
        if (kind.activation == Activation::kNone) {
          add(Values::kInteger, {nullptr, 31, 37, 2, 29});
        }
      }
    }
  }
}

// --- round_rows and quantize_rows ---

constexpr int kConvertedRows = 4;

// Rows with NaN between them: one of common values, one of values that lie halfway between two of
// bf16 or beside that, one of zeros and one of small and large magnitudes.
std::vector<float> rows_to_convert(int channels) {
  std::vector<float> all =
      rows_with_gaps(kConvertedRows, {nullptr, channels + kLanes, 0, 1, channels}, Values::kReal);
  const auto row = [&](int t) { return all.begin() + t * (channels + kLanes); };
  for (int c = 0; c < channels; ++c) {
    const std::uint32_t halfway = 0x3F808000U + (static_cast<std::uint32_t>(c) << 16);
    row(1)[c] = std::bit_cast<float>(halfway - 1 + static_cast<std::uint32_t>(c) % 3);
    row(2)[c] = c % 2 == 0 ? 0.0F : -0.0F;
    row(3)[c] = std::ldexp(row(3)[c], c * 7 % 230 - 130);
  }
  return all;
}

class RoundCase : public KernelCase {
 public:
  explicit RoundCase(int vecs) : vecs_(vecs), input_(rows_to_convert(channels())) {}

  std::string name() const override { return "bf16.round_rows, 4 x " + std::to_string(channels()); }
  double flop() const override { return 1.0 * kConvertedRows * channels(); }
  void prepare(const KernelTable& table) override {
    floats_per_pair_ = table.bf16.floats_per_pair;
    const int floats = channels() / 2 * floats_per_pair_;
    rounded_.emplace(kConvertedRows, floats, floats + 3);
  }
  void call(const KernelTable& table) override {
    table.bf16.round_rows(input_.data(), channels() + kLanes, kConvertedRows, vecs_,
                          rounded_->data(), rounded_->stride());
  }
  std::string fault() const override {
    if (!rounded_->fault().empty()) return rounded_->fault();
    const std::vector<float> found = output();
    for (int t = 0; t < kConvertedRows; ++t) {
      for (int c = 0; c < channels(); ++c) {
        const double expected = nearest_bf16(input_.data()[t * (channels() + kLanes) + c]);
        const float value = found[static_cast<std::size_t>(t * channels() + c)];
        if (value != expected) return at(t, c, {expected, 0}, value);
      }
    }
    return {};
  }
  // As floats, however the table lays them out.
  std::vector<float> output() const override {
    const std::vector<float> written = rounded_->written();
    if (floats_per_pair_ == 2) return written;
    std::vector<float> values;
    for (const float pair : written) {
      const auto bits = std::bit_cast<std::uint32_t>(pair);
      values.push_back(std::bit_cast<float>(bits << 16));
      values.push_back(std::bit_cast<float>(bits & 0xFFFF0000U));
    }
    return values;
  }

 private:
  int channels() const { return vecs_ * kLanes; }

  const int vecs_;
  const GuardedFloats input_;
  int floats_per_pair_ = 0;
  std::optional<GuardedRows> rounded_;
};

class QuantizeCase : public KernelCase {
 public:
  explicit QuantizeCase(int vecs)
      : vecs_(vecs),
        input_(rows_to_convert(channels())),
        bytes_(kConvertedRows, vecs * kLanes / 4, vecs * kLanes / 4 + 3),
        scales_(kConvertedRows, 1, 1) {}

  std::string name() const override {
    return "int8.quantize_rows, 4 x " + std::to_string(channels());
  }
  double flop() const override { return 1.0 * kConvertedRows * channels(); }
  void prepare(const KernelTable& /*table*/) override {
    bytes_.poison();
    scales_.poison();
  }
  void call(const KernelTable& table) override {
    table.int8.quantize_rows(input_.data(), channels() + kLanes, kConvertedRows, vecs_,
                             bytes_.data(), bytes_.stride(), scales_.data());
  }
  std::string fault() const override {
    for (const std::string& fault : {bytes_.fault(), scales_.fault()}) {
      if (!fault.empty()) return fault;
    }
    for (int t = 0; t < kConvertedRows; ++t) {
      const float* row = input_.data() + t * (channels() + kLanes);
      const Bounded scale = quantized_scale({row, static_cast<std::size_t>(channels())});
      if (!within(scale, scales_.at(t, 0))) return "scale: " + at(t, 0, scale, scales_.at(t, 0));
      for (int c = 0; c < channels(); ++c) {
        const Bounded byte = quantized(row[c], scale.value);
        if (!within(byte, static_cast<float>(byte_at(t, c)))) {
          return at(t, c, byte, static_cast<float>(byte_at(t, c)));
        }
      }
    }
    return {};
  }
  std::vector<float> output() const override {
    std::vector<float> all = bytes_.written();
    for (int t = 0; t < kConvertedRows; ++t) all.push_back(scales_.at(t, 0));
    return all;
  }

 private:
  int channels() const { return vecs_ * kLanes; }
  int byte_at(int t, int c) const {
    const auto quad = std::bit_cast<std::uint32_t>(bytes_.at(t, c / 4));
    return static_cast<int>(quad >> 8 * (c % 4) & 0xFF) - 128;
  }

  const int vecs_;
  const GuardedFloats input_;
  GuardedRows bytes_, scales_;
};

}  // namespace

void add_f32_panels(KernelCases& cases) { add_panels(Dtype::kF32, cases); }
void add_bf16_panels(KernelCases& cases) { add_panels(Dtype::kBf16, cases); }
void add_int8_panels(KernelCases& cases) { add_panels(Dtype::kInt8, cases); }

void add_round_rows(KernelCases& cases) {
  for (const int vecs : {1, 2, 3, 7}) cases.push_back(std::make_unique<RoundCase>(vecs));
}

void add_quantize_rows(KernelCases& cases) {
  for (const int vecs : {1, 2, 3, 7}) cases.push_back(std::make_unique<QuantizeCase>(vecs));
}

}  // namespace mimi::test
