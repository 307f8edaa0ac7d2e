// From what `--model` names to files.
#pragma once

#include <string>

namespace mimi {

// The path of the model that `argument` names: an existing path is itself; a name such as
// "kyutai/mimi" is looked up where huggingface_hub keeps what it has downloaded ($HF_HUB_CACHE,
// $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or ~/.cache/huggingface/hub, the first that is
// set). Throws Error saying where it looked and how to get the model.
std::string resolve_model(const std::string& argument);

// The safetensors file to read in `folder`: the only one; of several Kyutai's Mimi beside a
// language model (tokenizer-*.safetensors, mimi-*.safetensors), else model.safetensors. Throws
// Error when no rule chooses one.
std::string find_checkpoint(const std::string& folder);
// The name of the file in `folder` that is read even if a model.safetensors is there; empty: none.
std::string preferred_to_standard(const std::string& folder);

// "kyutai/mimi" for a path into huggingface_hub's cache, else the path's last part.
std::string model_name(const std::string& path);

}  // namespace mimi
