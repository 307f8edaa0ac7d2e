// Shards as Parquet: scripts/to_parquet.py, which is inside the program, run by a Python that has
// pyarrow. Rows come and go as a tar file of KEY.npy and KEY.json, as wds has them.
#pragma once

#include <string>

#include "cli/dataset/child_process.h"

namespace mimi::cli {

// What the bytes depend on: "pyarrow 21.0.0". Throws mimi::Error where no Python has it.
std::string parquet_writer();

// The input is read from its beginning. `metadata` is a JSON object of texts, for the file. Throw
// mimi::Error with the Parquet file's name.
void tar_to_parquet(int tar, const std::string& metadata, const std::string& name,
                    const TakeOutput& take);
// The rows' keys are their numbers, and their .json lacks `output`.
void parquet_to_tar(int parquet, const std::string& name, const TakeOutput& take);

}  // namespace mimi::cli
