// The weights of a Mimi checkpoint under one set of names, whichever layout the file has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/floats.h"
#include "kernels/kernels.h"

namespace mimi {

// A tensor that a model of the checkpoint's dimensions has.
struct TensorSpec {
  std::string name;                 // canonical; of a codebook what is before ".embed"
  std::vector<std::int64_t> shape;  // what it must be
  bool is_codebook = false;
  // Of weights: what they are packed as and, for int8, how their columns lie. Those are the first
  // dimension or, with `phases`, the second, and then each has a scale for every phase: value k of
  // the last dimension counts in phase k % phases.
  kernels::Dtype dtype = kernels::Dtype::kF32;
  int phases = 0;
  static constexpr int kAnyPhases = -1;  // as the file's scales have them

  std::int64_t values() const;
  std::string canonical_name() const;
};

// A canonical tensor and the CRC32C of its values.
struct TensorChecksum {
  std::string name;
  std::vector<std::int64_t> shape;
  std::uint32_t checksum;
};
// Checkpoint::fingerprint() of these dimensions and tensors, which are in the order of their names.
std::uint32_t model_fingerprint(const Config& config, std::span<const TensorChecksum> tensors);

// What convert_model() says of the file that it writes.
struct Conversion {
  std::string dtype;          // the only one that a model of the file is computed in
  std::uint32_t fingerprint;  // of the checkpoint that it was made from
  std::uint32_t checksum;     // the file's own fingerprint()
};

// An open checkpoint. The canonical names are Hugging Face's, with one change: a codebook is the
// single tensor "<prefix>.embed", embed_sum / max(cluster_usage, 1e-5) in float32. A file in
// Kyutai's layout is renamed on opening; its fused q, k, v are split, and the rows of q and k
// reordered from interleaved rotary pairs (2i, 2i + 1) to halves (i, i + head_dim / 2).
//
// A weight of a converted model may be I8; then "<name>_scale", F32, is what its bytes are times:
// [columns], or [columns x phases] as in TensorSpec.
//
// Every tensor is checked to be finite as it is read. Any number of threads may read at once.
class Checkpoint {
 public:
  // `path` is a folder with config.json and model.safetensors, or a .safetensors file: in Hugging
  // Face's layout with config.json beside it, or in Kyutai's, whose dimensions follow from the
  // tensors' shapes and whose constants are the published Mimi's (8 heads, window 250, rope theta
  // 10000, dilation growth 2, norm eps 1e-5, 24 kHz) whatever lies beside it.
  static Checkpoint open(const std::string& path);
  // A file's content that outlives the Checkpoint, in Hugging Face's layout. `name` is its name, in
  // messages too.
  static Checkpoint from_memory(std::span<const std::byte> safetensors,
                                std::string_view config_json, const std::string& name);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const Config& config() const;
  const std::string& name() const;  // the hub's name in a hub's cache, else the folder's or file's
  const std::string& source() const;  // the file, for messages
  const std::optional<Conversion>& conversion() const;

  // A tensor's values, widened to float32. Throws Error, naming file, tensor, found and expected,
  // when it is missing, of another shape, not F32, F16, BF16 or I8 with scales, or not finite. A
  // codebook is [codebook_size x codebook_dim]; one that the file has as "<prefix>.embed" is that.
  Floats read(const TensorSpec& tensor) const;
  // The same, but BF16 and I8 stay what they are where the checkpoint was converted: then its
  // models are computed in that.
  Weights read_weights(const TensorSpec& tensor) const;
  // Looks at a tensor as reading does, without keeping its values.
  void check(const TensorSpec& tensor) const;
  // Gives back the memory that the file's pages of a tensor take in this process. Values that were
  // read stay readable.
  void release(const TensorSpec& tensor) const;

  // Throws Error naming the tensors that nothing has read. Codebooks' "initialized" flags count as
  // read: they only steer training.
  void expect_all_used() const;

  // Identifies what decides the results: the same for both layouts, and for a BF16 or F16 file and
  // the same values in F32. It is the CRC32C of an ASCII text: the line "mimi-model 1", the lines
  // of config_text(), then for each canonical tensor, in ascending order of the names' bytes,
  //   tensor <name> <shape, joined by commas> <CRC32C of the values, 8 lower-case hex digits>
  // where the values are little-endian float32, row by row; of I8, the bytes and then the scales.
  // Every line ends in "\n". Codebooks'
  // "initialized" flags are left out. Tensors read before cost nothing; the others are read now.
  std::uint32_t fingerprint() const;

  std::int64_t parameters() const;  // values in all canonical tensors

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mimi
