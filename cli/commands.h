// The commands of `mimi`, each a struct of options and a function that runs them and returns the
// exit code. They throw mimi::Error (exit 1) and UsageError (exit 2).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/audio_format.h"
#include "cli/level_set.h"
#include "cli/token_table.h"
#include "cli/usage_error.h"
#include "core/codec.h"

namespace CLI {
class App;
}
namespace mimi::kernels {
struct KernelTable;
}

namespace mimi::cli {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitFallen = 3;      // mimi bench --compare
constexpr int kExitSomeFailed = 3;  // of a dataset's rows; the rest is done

constexpr int kMostThreads = 1024;

// What --dtype names: a dtype, what is fast here, or one after the other.
enum class DtypeChoice { kF32, kBf16, kInt8, kAuto, kAll };

// Options that may stand before or after the command's name.
struct CommonOptions {
  std::string model;                 // as typed; empty: the embedded one
  std::string isa;                   // as typed; empty: MIMI_ISA, else the best
  std::optional<DtypeChoice> dtype;  // none: the model's own, and all where kernels are measured
  int threads = 0;                   // 0: MIMI_THREADS, else what the machine grants
  bool quiet = false;
};

// What a model is opened for.
struct Purpose {
  ModelUse use = ModelUse::kBoth;
  int levels = 0;  // the first so many; 0: all
};
// Loads what --model names. UsageError when --isa or MIMI_ISA names what cannot run here, and where
// --dtype is `all`.
Model open_model(const CommonOptions& options, const Purpose& purpose);
Model open_model(const CommonOptions& options, const Purpose& purpose, std::optional<Dtype> dtype);
// The dtypes that a --dtype stands for.
std::vector<Dtype> chosen_dtypes(const CommonOptions& options, DtypeChoice choice);
// The kernels that --isa or MIMI_ISA names, else all that run here. UsageError as above.
std::vector<const kernels::KernelTable*> chosen_tables(const CommonOptions& options);
// The number of threads to use, at least 1. UsageError when MIMI_THREADS is not a positive number.
int thread_count(const CommonOptions& options);
StreamOptions stream_options(Window window, const CommonOptions& options);
// The first `asked` levels, 0: as many as encoded_levels() makes of it.
Purpose encoding(ModelUse use, int asked);
// What to encode for `asked` levels; 0: 8, or all of a model that has fewer. UsageError when the
// model has fewer than asked.
int encoded_levels(int asked, const Model& model);

struct OutputOptions {
  std::string path;       // -o; empty: beside the input or in `directory`
  std::string directory;  // --out-dir
  bool force = false;     // overwrite a regular file
};

// A part of a recording.
struct TimeRange {
  std::optional<double> from_s, to_s;  // none: its beginning and its end
};
// Where a time falls, to the nearest sample.
std::uint64_t sample_at(double seconds, int rate_hz);

struct EncodeOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
  SourceOptions source;
  int levels = 0;        // 0: 8, or all of a model that has fewer
  int block_frames = 0;  // 0: 125 into a regular file, 1 into anything else
  Window window = Window::kOffline;
  TimeRange range;
  std::optional<double> warm_up_s;  // to begin before a part; none: the receptive field
  bool verify = false;              // read what was written
};
int run_encode(const EncodeOptions& options, const CommonOptions& common);

struct DecodeOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
  SinkOptions sink;
  LevelSet levels;
  std::optional<Window> window;  // none: the one that the file was encoded with
  TimeRange range;
  std::optional<double> warm_up_s;  // as EncodeOptions
};
int run_decode(const DecodeOptions& options, const CommonOptions& common);

struct RoundtripOptions {
  std::string input;
  OutputOptions output;
  SourceOptions source;
  SinkOptions sink;
  int levels = 0;  // 0: 8, or all of a model that has fewer
  Window window = Window::kOffline;
  std::string plot;  // a picture of it; empty: none
};
int run_roundtrip(const RoundtripOptions& options, const CommonOptions& common);

struct InfoOptions {
  std::vector<std::string> inputs;
  bool json = false;
};
int run_info(const InfoOptions& options);

struct TestOptions {
  std::vector<std::string> inputs;
};
int run_test(const TestOptions& options, const CommonOptions& common);

struct CutOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
  TimeRange range;
  int levels = 0;         // 0: all
  double lead_in_s = 82;  // more than the receptive field of the published model's decoder
};
int run_cut(const CutOptions& options);

struct CatOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
};
int run_cat(const CatOptions& options);

struct RepairOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
};
int run_repair(const RepairOptions& options, const CommonOptions& common);

struct ConvertOptions {
  std::vector<std::string> inputs;
  OutputOptions output;
  std::string format;            // --as; empty: by the output's suffix
  std::optional<CodeType> type;  // none: the format's usual one
  std::string like;              // a .mimi file that says what the input does not; empty: Mimi's
};
int run_convert(const ConvertOptions& options, const CommonOptions& common);

int run_version(const CommonOptions& common);

// What the command line asked for, to be run once it has been read as a whole.
using Command = std::function<int()>;
// Adds `mimi bench` to the command line; when it is given, `chosen` is set to run it.
void add_bench(CLI::App& app, const CommonOptions& common, Command& chosen);

// Adds `mimi convert-model`.
void add_convert_model(CLI::App& app, Command& chosen);

// Adds `mimi eval`.
void add_eval(CLI::App& app, const CommonOptions& common, Command& chosen);

// Adds `mimi plot`.
void add_plot(CLI::App& app, const CommonOptions& common, Command& chosen);

// Adds the commands that make datasets of tokens and work on them.
void add_dataset_tools(CLI::App& app, const CommonOptions& common, Command& chosen);

// Adds the commands that work on token files alone, without a model.
void add_token_tools(CLI::App& app, const CommonOptions& common, Command& chosen);

}  // namespace mimi::cli
