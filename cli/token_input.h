#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/byte_reader.h"
#include "core/token_file.h"

namespace mimi::cli {

// A .mimi file or pipe; its errors name it.
class TokenInput {
 public:
  // "-" is standard input.
  explicit TokenInput(const std::string& path);

  const std::string& name() const { return bytes_->name(); }
  const TokenHeader& header() const { return tokens_->header(); }
  std::optional<TokenRecord> next();
  // Its errors do not name the file.
  TokenReader& tokens() { return *tokens_; }

 private:
  std::unique_ptr<ByteReader> bytes_;
  std::unique_ptr<TokenReader> tokens_;
};

// What TokenReader and read_token_info() read from.
TokenReader::Source token_source(ByteReader& bytes);

}  // namespace mimi::cli
