#include "core/model_path.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <optional>

#include "tests/files.h"

namespace mimi::test {

namespace {

// Sets a variable, or removes it, until the end of the scope.
class Variable {
 public:
  Variable(const char* name, const std::optional<std::string>& value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(before_); }

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_, value->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

// A cache that holds org/name at a commit.
void make_hub(const std::filesystem::path& hub) {
  const auto repository = hub / "models--org--name";
  write_file(repository / "refs" / "main", "0123abcd");
  write_file(repository / "snapshots" / "0123abcd" / "model.safetensors", "weights");
}

}  // namespace

TEST_CASE("an existing path is itself") {
  const TempDir folder;
  write_file(folder / "file", "");
  CHECK(resolve_model(folder / "file") == folder / "file");
  CHECK(resolve_model(folder.path()) == folder.path());
}

TEST_CASE("a name is found where the environment puts the cache") {
  const TempDir folder;
  const Variable home("HOME", folder / "home");
  const Variable xdg("XDG_CACHE_HOME", {});
  const Variable hf_home("HF_HOME", "");
  const Variable old_cache("HUGGINGFACE_HUB_CACHE", {});
  const Variable cache("HF_HUB_CACHE", {});
  const std::string snapshot = "/models--org--name/snapshots/0123abcd";

  make_hub(folder / "home/.cache/huggingface/hub");
  CHECK(resolve_model("org/name") == folder / "home/.cache/huggingface/hub" + snapshot);
  const Variable xdg_set("XDG_CACHE_HOME", folder / "xdg");
  CHECK(error_of([] { resolve_model("org/name"); }) != "no error");
  make_hub(folder / "xdg/huggingface/hub");
  CHECK(resolve_model("org/name") == folder / "xdg/huggingface/hub" + snapshot);
  const Variable hf_home_set("HF_HOME", "~/hf");
  make_hub(folder / "home/hf/hub");
  CHECK(resolve_model("org/name") == folder / "home/hf/hub" + snapshot);
  const Variable old_cache_set("HUGGINGFACE_HUB_CACHE", folder / "old");
  make_hub(folder / "old");
  CHECK(resolve_model("org/name") == folder / "old" + snapshot);
  const Variable cache_set("HF_HUB_CACHE", folder / "new");
  make_hub(folder / "new");
  CHECK(resolve_model("org/name") == folder / "new" + snapshot);
  CHECK(model_name(resolve_model("org/name")) == "org/name");
}

TEST_CASE("a name that is not in the cache: where it looked and how to get it") {
  const TempDir folder;
  const Variable cache("HF_HUB_CACHE", folder.path().string());
  const std::string expected =
      "model 'kyutai/mimi' is no file or folder and not in Hugging Face's cache (" +
      (folder / "models--kyutai--mimi") +
      "); to get it: python3 -m venv hf && hf/bin/pip install huggingface_hub && "
      "hf/bin/hf download kyutai/mimi";
  const auto message = [] { return error_of([] { resolve_model("kyutai/mimi"); }); };
  CHECK(message() == expected);
  write_file(folder / "models--kyutai--mimi/refs/main", "0123abcd");  // its files are gone
  CHECK(message() == expected);
  write_file(folder / "models--kyutai--mimi/refs/main", "");
  write_file(folder / "models--kyutai--mimi/snapshots/0123abcd/model.safetensors", "");
  CHECK(message() == expected);
  write_file(folder / "models--kyutai--mimi/refs/main", "../../..");
  CHECK(message() == expected);
  write_file(folder / "models--kyutai--mimi/refs/main", "0123abcd\n");
  CHECK(message() == "no error");
}

TEST_CASE("what is neither a path nor a name is an error that says so") {
  // None of them must be there by chance: the build folder, where tests run, has a `mimi`.
  for (const std::string text : {"", "none", "/none/at/all", "a/b/c", "../none", "a/..", "./none",
                                 "a/", "/a", "a b/c", "a/b\n"}) {
    const std::string message = error_of([&] { resolve_model(text); });
    CHECK_MESSAGE(
        message.ends_with(" is neither an existing file or folder nor a name such as kyutai/mimi"),
        message);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("the checkpoint in a folder") {
  const TempDir folder;
  const std::string place = folder.path();
  const auto message = [&] { return error_of([&] { find_checkpoint(place); }); };
  CHECK(message() == place + ": holds no .safetensors file");
  CHECK(error_of([&] { find_checkpoint(folder / "none"); }) ==
        folder / "none: cannot be listed: No such file or directory");
  write_file(folder / "config.json", "{}");
  write_file(folder / "any.safetensors", "");
  CHECK(find_checkpoint(place) == folder / "any.safetensors");
  write_file(folder / "other.safetensors", "");
  CHECK(message() ==
        place +
            ": holds 2 .safetensors files, none of them model.safetensors: name the one to use");
  write_file(folder / "model.safetensors", "");
  CHECK(find_checkpoint(place) == folder / "model.safetensors");
  CHECK(preferred_to_standard(place).empty());
  // As in Kyutai's repositories of language models.
  write_file(folder / "tokenizer-e351c8d8-checkpoint125.safetensors", "");
  CHECK(find_checkpoint(place) == folder / "tokenizer-e351c8d8-checkpoint125.safetensors");
  CHECK(preferred_to_standard(place) == "tokenizer-e351c8d8-checkpoint125.safetensors");
  write_file(folder / "mimi-e351c8d8.safetensors", "");
  CHECK(find_checkpoint(place) == folder / "model.safetensors");
}

TEST_CASE("a model's name") {
  CHECK(model_name("/a/models--org--name/snapshots/0123abcd") == "org/name");
  CHECK(model_name("/a/models--org--name/snapshots/0123abcd/") == "org/name");
  CHECK(model_name("/a/models--org--na-me/snapshots/0123/x.safetensors") == "org/na-me");
  CHECK(model_name("/a/models--org--name/blobs") == "blobs");
  CHECK(model_name("/a/my-model") == "my-model");
  CHECK(model_name("/a/my-model///") == "my-model");
  CHECK(model_name("/a/b/../x.safetensors") == "x.safetensors");
  CHECK(model_name(".") == std::filesystem::current_path().filename());
}

}  // namespace mimi::test
