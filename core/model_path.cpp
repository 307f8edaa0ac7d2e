#include "core/model_path.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/quote.h"

namespace mimi {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRepositoryPrefix = "models--";
constexpr std::string_view kStandardName = "model.safetensors";

// The value of an environment variable as a path, "~" expanded as huggingface_hub does; empty when
// it is unset or empty.
fs::path environment_path(const char* variable) {
  const char* const value = std::getenv(variable);
  if (value == nullptr) return {};
  const std::string_view text = value;
  if (text != "~" && !text.starts_with("~/")) return text;
  const char* const home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home).append(text.substr(1));
}

fs::path hub_cache() {
  struct Place {
    const char* variable;
    const char* below;
  };
  constexpr std::array kPlaces = {
      Place{"HF_HUB_CACHE", ""},
      Place{"HUGGINGFACE_HUB_CACHE", ""},
      Place{"HF_HOME", "hub"},
      Place{"XDG_CACHE_HOME", "huggingface/hub"},
      Place{"HOME", ".cache/huggingface/hub"},
  };
  for (const Place& place : kPlaces) {
    const fs::path base = environment_path(place.variable);
    if (!base.empty()) return *place.below == '\0' ? base : base / place.below;
  }
  return ".cache/huggingface/hub";
}

// Whether `text` is of the form "owner/name" that the hub allows.
bool is_hub_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  };
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && slash != 0 && slash + 1 != text.size() &&
         text.front() != '.' && text[slash + 1] != '.' && std::ranges::count(text, '/') == 1 &&
         std::ranges::all_of(text, allowed);
}

// The first word of refs/main: the commit whose files are in snapshots/.
std::string main_commit(const fs::path& repository) {
  std::ifstream file(repository / "refs" / "main");
  std::string commit;
  file >> commit;
  return commit.find('/') == std::string::npos ? commit : "";
}

bool is_kyutai_file(std::string_view name) {
  return name.starts_with("tokenizer-") || name.starts_with("mimi-");
}

std::vector<std::string> checkpoint_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".safetensors") names.push_back(entry->path().filename());
  }
  if (error) throw Error(folder + ": cannot be listed: " + error.message());
  return names;
}

// Empty where there is none, or more than one.
std::string kyutai_file(const std::vector<std::string>& names) {
  if (std::ranges::count_if(names, is_kyutai_file) != 1) return "";
  return *std::ranges::find_if(names, is_kyutai_file);
}

}  // namespace

std::string resolve_model(const std::string& argument) {
  std::error_code ignored;
  if (fs::exists(argument, ignored)) return argument;
  if (!is_hub_name(argument)) {
    throw Error("model " + quote(argument) +
                " is neither an existing file or folder nor a name such as kyutai/mimi");
  }
  const std::size_t slash = argument.find('/');
  const fs::path repository =
      hub_cache() / (std::string(kRepositoryPrefix) + argument.substr(0, slash) + "--" +
                     argument.substr(slash + 1));
  const std::string commit = main_commit(repository);
  const fs::path snapshot = repository / "snapshots" / commit;
  if (!commit.empty() && fs::is_directory(snapshot, ignored)) return snapshot;
  throw Error("model " + quote(argument) +
              " is no file or folder and not in Hugging Face's cache (" + repository.string() +
              "); to get it: python3 -m venv hf && hf/bin/pip install huggingface_hub && "
              "hf/bin/hf download " +
              argument);
}

std::string find_checkpoint(const std::string& folder) {
  const std::vector<std::string> names = checkpoint_names(folder);
  if (names.empty()) throw Error(folder + ": holds no .safetensors file");

  const auto path = [&](const std::string& name) { return (fs::path(folder) / name).string(); };
  if (names.size() == 1) return path(names.front());
  const std::string kyutai = kyutai_file(names);
  if (!kyutai.empty()) return path(kyutai);
  const auto standard = std::ranges::find(names, kStandardName);
  if (standard != names.end()) return path(*standard);
  throw Error(folder + ": holds " + std::to_string(names.size()) +
              " .safetensors files, none of them model.safetensors: name the one to use");
}

std::string preferred_to_standard(const std::string& folder) {
  return kyutai_file(checkpoint_names(folder));
}

std::string model_name(const std::string& path) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal();
  const std::vector<std::string> parts(whole.begin(), whole.end());
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (!parts[i].starts_with(kRepositoryPrefix) || parts[i + 1] != "snapshots") continue;
    std::string name = parts[i].substr(kRepositoryPrefix.size());
    const std::size_t dashes = name.find("--");
    if (dashes != std::string::npos) name.replace(dashes, 2, "/");
    return name;
  }
  // "folder/" ends in an empty part.
  const auto last = std::ranges::find_if(parts.rbegin(), parts.rend(),
                                         [](const std::string& part) { return !part.empty(); });
  return last == parts.rend() ? path : *last;
}

}  // namespace mimi
