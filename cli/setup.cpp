// The model and the machine, as the options of every command ask for them.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "cli/commands.h"
#include "cli/printable.h"
#include "cli/system_limits.h"
#include "core/model_path.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace mimi::cli {
namespace {

constexpr int kDefaultLevels = 8;

const kernels::KernelTable& select_table(const std::string& isa) {
  try {
    return kernels::select(isa);
  } catch (const std::invalid_argument& error) {
    throw UsageError((isa.empty() ? "MIMI_ISA: " : "--isa: ") + std::string(error.what()));
  }
}

// bf16 where the CPU multiplies it faster than f32. Never int8, whose codes differ more.
Dtype fast_dtype(const CommonOptions& options) {
  const bool has_pairs = select_table(options.isa).bf16.floats_per_pair == 1;
  return has_pairs ? Dtype::kBf16 : Dtype::kF32;
}

}  // namespace

std::vector<Dtype> chosen_dtypes(const CommonOptions& options, DtypeChoice choice) {
  switch (choice) {
    case DtypeChoice::kF32:
      return {Dtype::kF32};
    case DtypeChoice::kBf16:
      return {Dtype::kBf16};
    case DtypeChoice::kInt8:
      return {Dtype::kInt8};
    case DtypeChoice::kAuto:
      return {fast_dtype(options)};
    case DtypeChoice::kAll:
      break;
  }
  return {Dtype::kF32, Dtype::kBf16, Dtype::kInt8};
}

Model open_model(const CommonOptions& options, const Purpose& purpose) {
  if (!options.dtype) return open_model(options, purpose, std::nullopt);
  const std::vector<Dtype> dtypes = chosen_dtypes(options, *options.dtype);
  if (dtypes.size() > 1) throw UsageError("--dtype: all is for bench");
  return open_model(options, purpose, dtypes.front());
}

Model open_model(const CommonOptions& options, const Purpose& purpose, std::optional<Dtype> dtype) {
  select_table(options.isa);
  const ModelOptions model_options = {.isa = options.isa,
                                      .threads = thread_count(options),
                                      .dtype = dtype,
                                      .use = purpose.use,
                                      .levels = purpose.levels};
  if (options.model.empty()) return Model::embedded(model_options);
  return Model::open(resolve_model(options.model), model_options);
}

std::vector<const kernels::KernelTable*> chosen_tables(const CommonOptions& options) {
  const char* variable = std::getenv("MIMI_ISA");
  const bool names_one = !options.isa.empty() || (variable != nullptr && *variable != '\0');
  if (!names_one) return kernels::available();
  return {&select_table(options.isa)};
}

int thread_count(const CommonOptions& options) {
  if (options.threads > 0) return options.threads;
  const char* variable = std::getenv("MIMI_THREADS");
  if (variable == nullptr || *variable == '\0') return granted_threads();
  const std::string_view text = variable;
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size() || threads < 1 ||
      threads > kMostThreads) {
    throw UsageError("MIMI_THREADS: '" + std::string(text) + "' is not a number from 1 to " +
                     std::to_string(kMostThreads));
  }
  return threads;
}

StreamOptions stream_options(Window window, const CommonOptions& options) {
  StreamOptions stream;
  stream.window = window;
  stream.threads = thread_count(options);
  return stream;
}

Purpose encoding(ModelUse use, int asked) {
  return {.use = use, .levels = asked == 0 ? kDefaultLevels : asked};
}

int encoded_levels(int asked, const Model& model) {
  if (asked == 0) return std::min(kDefaultLevels, model.info().levels);
  if (asked <= model.info().levels) return asked;
  throw UsageError("--levels: the model '" + model.info().name + "' has " +
                   std::to_string(model.info().levels) + ", " + std::to_string(asked) +
                   " were asked for");
}

int run_version(const CommonOptions& common) {
  const Model model = open_model(common, {.use = ModelUse::kDecode, .levels = 1});
  std::string isas;
  for (const kernels::KernelTable* table : kernels::available()) {
    isas += (isas.empty() ? "" : ", ") + std::string(table->name);
  }
  std::printf("mimi %s\n", MIMI_VERSION);
  std::printf("model %s, fingerprint %08x\n", printable(model.info().name).c_str(),
              model.info().fingerprint);
  std::printf("instruction set %s (of %s), %d threads\n", std::string(model.isa()).c_str(),
              isas.c_str(), thread_count(common));
  return kExitDone;
}

}  // namespace mimi::cli
