// The forms in which codes are written, a shard at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cli/dataset/row.h"
#include "cli/dataset/row_codes.h"
#include "cli/dataset/workspace.h"

namespace mimi::cli {

// A row that is done.
struct DoneRow {
  std::string id;
  std::string line;  // of the manifest
  std::uint64_t source_samples = 0;
  std::uint32_t source_rate_hz = 0;
  std::uint64_t samples = 0;  // at the codec's rate
};

class ShardWriter {
 public:
  virtual ~ShardWriter() = default;

  // Of a row that add() will bring; all are announced before the first is added.
  virtual void announce(const std::string& id, std::uint64_t frames) = 0;
  virtual void add(const DoneRow& row, const RowCodes& codes) = 0;
  // Puts everything into its place, durably.
  virtual void finish() = 0;
};

// The workspace and the settings must outlive it.
std::unique_ptr<ShardWriter> make_shard_writer(const Workspace& workspace,
                                               const DatasetSettings& settings,
                                               std::uint64_t shard);

}  // namespace mimi::cli
