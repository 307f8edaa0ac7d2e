#include "cli/token_input.h"

#include <cstdint>
#include <span>

#include "cli/named_error.h"

namespace mimi::cli {

TokenInput::TokenInput(const std::string& path) : bytes_(std::make_unique<ByteReader>(path)) {
  tokens_ = naming(name(), [this] { return std::make_unique<TokenReader>(token_source(*bytes_)); });
}

std::optional<TokenRecord> TokenInput::next() {
  return naming(name(), [this] { return tokens_->next(); });
}

TokenReader::Source token_source(ByteReader& bytes) {
  return [&bytes](std::span<std::byte> buffer) {
    return bytes.read({reinterpret_cast<std::uint8_t*>(buffer.data()), buffer.size()});
  };
}

}  // namespace mimi::cli
