#include "cli/dataset/sha256.h"

// What is to be used instead allocates, and OpenSSL 3.0 crashes where the first of that fails.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace mimi::cli {

struct Sha256::State {
  SHA256_CTX context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) { SHA256_Init(&state_->context); }

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::uint8_t> bytes) {
  SHA256_Update(&state_->context, bytes.data(), bytes.size());
}

void Sha256::update(std::string_view text) {
  SHA256_Update(&state_->context, text.data(), text.size());
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  SHA256_Final(digest.data(), &state_->context);
  return digest;
}

Sha256Digest sha256(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.finish();
}

std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace mimi::cli
