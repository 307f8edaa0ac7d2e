// What `mimi verify` and `mimi detokenize` read of a dataset that somebody else may have made: its
// files one after the other, between two bytes of 0x1E. The model is the small one in Hugging
// Face's layout in the folder that MIMI_FUZZ_CHECKPOINTS names; the recording of the seeds is
// in.wav.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "cli/dataset/settings.h"
#include "cli/dataset/tokenize.h"
#include "core/codec.h"
#include "core/error.h"
#include "tests/fuzz/surroundings.h"
#include "tests/fuzz/temporary_folder.h"

namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles = {
    "out/dataset.json",     "out/manifest.jsonl",           "out/errors.jsonl", "out/index.json",
    "out/shard-000000.tar", "out/shard-000000.safetensors", "out/in.mimi",      "out/in.npy"};
constexpr std::string_view kSeparator = "\x1e\x1e";

// 100 samples of 16 bits at 1 kHz.
std::string recording() {
  std::string samples;
  for (int i = 0; i < 100; ++i) {
    const int sample = i * 3701 % 20000 - 10000;
    samples += {static_cast<char>(sample & 255), static_cast<char>(sample >> 8)};
  }
  const std::string_view header(
      "RIFF\xEC\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xE8\3\0\0\xD0\7\0\0\2\0\x10\0data\xC8\0\0\0", 44);
  return std::string(header) + samples;
}

// Where it all lies, and what relative names mean.
const TemporaryFolder& folder() {
  static const TemporaryFolder folder;
  static const bool is_set_up = [] {
    hush();
    fs::create_directory(folder.path() + "/out");
    folder.write("in.wav", recording());
    fs::current_path(folder.path());
    return true;
  }();
  static_cast<void>(is_set_up);
  return folder;
}

const mimi::cli::CommonOptions& common_options() {
  static const mimi::cli::CommonOptions options = {
      .model = checkpoint_folder("hf"), .threads = 1, .quiet = true};
  return options;
}

// What the seeds say that they were made with.
constexpr std::string_view kFingerprint = "36d2a205";

void check_fingerprint() {
  static const std::string found =
      mimi::cli::hex_text(mimi::Model::open(common_options().model, {}).info().fingerprint);
  if (found != kFingerprint) std::abort();
}

using Texts = std::array<std::string_view, kFiles.size()>;

Texts texts_of(std::string_view input) {
  Texts texts;
  for (std::string_view& text : texts) {
    const std::size_t end = input.find(kSeparator);
    text = input.substr(0, end);
    input = end == std::string_view::npos ? "" : input.substr(end + kSeparator.size());
  }
  return texts;
}

// A file of nothing is not there.
void fill(const Texts& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) {
      folder().remove(kFiles[i]);
    } else {
      folder().write(kFiles[i], texts[i]);
    }
  }
}

// Or it leads to this machine's own files.
bool stays_in_folder(std::string_view manifest) {
  return manifest.find('/') == std::string_view::npos &&
         manifest.find("\\u") == std::string_view::npos;
}

template <typename Action>
void attempt(const Action& action) {
  try {
    action();
  } catch (const mimi::Error&) {            // NOLINT(bugprone-empty-catch): a refusal is a good end
  } catch (const mimi::cli::UsageError&) {  // NOLINT(bugprone-empty-catch)
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Texts texts = texts_of({reinterpret_cast<const char*>(data), size});
  const std::string_view settings = texts[0], manifest = texts[1];
  // Parquet is another program's to read, whatever letters it is written in.
  if (settings.find("parquet") != std::string_view::npos ||
      settings.find("\\u") != std::string_view::npos) {
    return 0;
  }
  check_fingerprint();
  const bool is_of_model = settings.find(kFingerprint) != std::string_view::npos;
  fill(texts);
  mimi::cli::VerifyOptions verify;
  verify.dataset = "out";
  verify.sources = stays_in_folder(manifest);
  verify.resample = is_of_model && verify.sources ? 1 : 0;
  attempt([&] { mimi::cli::run_verify(verify, common_options()); });
  if (!is_of_model) return 0;
  mimi::cli::DetokenizeOptions detokenize;
  detokenize.dataset = "out";
  detokenize.out = "sound";
  attempt([&] { mimi::cli::run_detokenize(detokenize, common_options()); });
  fs::remove_all("sound");
  return 0;
}
