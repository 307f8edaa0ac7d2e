// What others wrote, as a terminal may see it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/printable.h"

namespace mimi::cli {
namespace {

TEST_CASE("what controls a terminal, and what is no text, is escaped") {
  for (int byte = 0; byte < 256; ++byte) {
    CAPTURE(byte);
    const std::string text(1, static_cast<char>(byte));
    const bool is_plain = byte >= 0x20 && byte < 0x7F;
    CHECK(printable_prefix(text) == (is_plain ? 1 : 0));
    CHECK(printable(text).size() == (is_plain ? 1 : 4));
  }
  CHECK(printable("a\x1b[2J\n") == "a\\x1b[2J\\x0a");
  CHECK(printable("\xC2\x80 \xC2\x9F") == "\\xc2\\x80 \\xc2\\x9f");  // C1
  CHECK(printable("\xE2\x82") == "\\xe2\\x82");                      // cut short
}

TEST_CASE("other text stays as it is") {
  const std::string text = "sch\xC3\xB6n \xE2\x9C\x93 \xF0\x9F\x8E\xA4 \xC2\xA0.";
  CHECK(printable(text) == text);
  CHECK(printable_prefix(text) == text.size());
  CHECK(printable("").empty());
}

TEST_CASE("JSON is shown with every control character escaped, and reads as it did") {
  const nlohmann::ordered_json json = {{"a\x7F", "b\x1b\xC2\x9B\n\xC3\xB6"}};
  const std::string text = printable_json(json);
  CHECK(text == "{\"a\\u007f\":\"b\\u001b\\u009b\\n\xC3\xB6\"}");
  CHECK(nlohmann::ordered_json::parse(text) == json);
  CHECK(printable_json(nlohmann::ordered_json("\xFF")) == "\"\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace mimi::cli
