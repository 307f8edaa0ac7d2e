#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "core/floats.h"
#include "core/mapped_file.h"
#include "core/quote.h"
#include "core/safetensors.h"
#include "tests/files.h"

namespace mimi::test {

namespace {

std::string parse_error(std::string_view file) {
  return error_of([&] { parse_safetensors(as_bytes(file), "f"); });
}

std::string tensor(const std::string& name, const std::string& body) {
  return "\"" + name + "\":{" + body + "}";
}

std::string f32(const std::string& name, const std::string& shape, const std::string& offsets) {
  return tensor(name, R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets);
}

template <typename T>
std::vector<float> widened(const std::vector<T>& values, TensorType dtype) {
  const std::string bytes = bytes_of(values);
  std::vector<float> floats(values.size());
  widen(as_bytes(bytes), dtype, floats);
  return floats;
}

}  // namespace

TEST_CASE("a valid file gives its tensors in the order of their names") {
  const std::string file =
      safetensors(R"({"__metadata__":{"format":"pt"},)" + f32("b", "[1,2]", "[0,8]") + "," +
                      tensor("a", R"("data_offsets":[8,14],"dtype":"BF16","shape":[3])") + "," +
                      f32("empty", "[1099511627776,1099511627776,0]", "[8,8]") + "," +
                      f32("scalar", "[]", "[14,18]") + "}   ",
                  "01234567ABCDEFwxyz");
  const std::vector<TensorEntry> entries = parse_safetensors(as_bytes(file), "f");
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].name == "a");
  CHECK(entries[0].dtype == TensorType::kBF16);
  CHECK(entries[0].dtype_name == "BF16");
  CHECK(entries[0].shape == std::vector<std::int64_t>{3});
  CHECK(std::memcmp(entries[0].data.data(), "ABCDEF", 6) == 0);
  CHECK(entries[1].name == "b");
  CHECK(entries[1].data.size() == 8);
  CHECK(entries[2].shape == std::vector<std::int64_t>{1LL << 40, 1LL << 40, 0});
  CHECK(entries[2].data.empty());
  CHECK(entries[3].shape.empty());
  CHECK(std::memcmp(entries[3].data.data(), "wxyz", 4) == 0);
}

TEST_CASE("a file of no tensors is valid") {
  CHECK(parse_safetensors(as_bytes(safetensors("{}", "")), "f").empty());
}

TEST_CASE("a malformed frame of the header is refused") {
  CHECK(parse_error("") == "f: is 0 bytes long, too short for a safetensors file");
  CHECK(parse_error("1234567") == "f: is 7 bytes long, too short for a safetensors file");
  CHECK(parse_error(std::string(8, '\0')) ==
        "f: header does not begin with '{': not a safetensors file");
  CHECK(parse_error(safetensors("[]", "")) ==
        "f: header does not begin with '{': not a safetensors file");
  CHECK(parse_error(safetensors(" {}", "")) ==
        "f: header does not begin with '{': not a safetensors file");
  CHECK(parse_error("\xff\xff\xff\xff\xff\xff\xff\xff{}") ==
        "f: claims a header of 18446744073709551615 bytes, of which 2 are there and at most "
        "100000000 are allowed: not a safetensors file, or a truncated one");
  CHECK(parse_error(std::string("\3\0\0\0\0\0\0\0{}", 10)) ==
        "f: claims a header of 3 bytes, of which 2 are there and at most 100000000 are allowed: "
        "not a safetensors file, or a truncated one");
}

TEST_CASE("a malformed header is refused with one line") {
  struct Case {
    std::string header;
    std::size_t data_bytes;
    std::string message;
  };
  const std::string deep(1'000'000, '[');
  const Case cases[] = {
      {"{", 0, "header is not valid JSON at its byte 2"},
      {"{}x", 0, "header is not valid JSON at its byte 3"},
      {"{}{}", 0, "header is not valid JSON at its byte 3"},
      {R"({"a":})", 0, "header is not valid JSON at its byte 6"},
      {"{'a':1}", 0, "header is not valid JSON at its byte 2"},
      {"{\"\xff\":{}}", 0, "header is not valid JSON at its byte 3"},
      {R"({"a":)" + deep, 0, "header: 'a' holds an array"},
      {R"({"a":{"shape":)" + deep, 0, "header: tensor 'a': 'shape' holds an array"},
      {R"({"a":{"dtype":{"dtype":{)", 0, "header: tensor 'a': 'dtype' holds an object"},
      {R"({"__metadata__":{"a":{"b":{)", 0, "header: 'a' holds an object"},
      {R"({"__metadata__":{"a":1}})", 0, "header: 'a' holds a number"},
      {R"({"__metadata__":"a"})", 0, "header: '__metadata__' holds a string"},
      {R"({"a":null})", 0, "header: 'a' holds null"},
      {R"({"a":true})", 0, "header: 'a' holds a boolean"},
      {R"({"a":"F32"})", 0, "header: 'a' holds a string"},
      {R"({"a":1})", 0, "header: 'a' holds a number"},
      {R"({"a":{}})", 0, "header: tensor 'a': dtype is missing"},
      {R"({"a":{"dtype":"F32"}})", 0, "header: tensor 'a': shape is missing"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4,
       "header: tensor 'a': data_offsets, two numbers, is missing"},
      {"{" + f32("a", "[1]", "[0]") + "}", 4,
       "header: tensor 'a': data_offsets, two numbers, is missing"},
      {"{" + f32("a", "[1]", "[0,4,4]") + "}", 4,
       "header: tensor 'a': data_offsets, two numbers, is missing"},
      {"{" + tensor("a", R"("dtype":"F32","dtype":"F32")") + "}", 4,
       "header: tensor 'a': 'dtype' is given twice"},
      {"{" + tensor("a", R"("shape":[1],"shape":[1])") + "}", 4,
       "header: tensor 'a': 'shape' is given twice"},
      {"{" + tensor("a", R"("shape":[1],"stride":[1])") + "}", 4,
       "header: tensor 'a': 'stride' is not a part of the format"},
      {"{" + tensor("a", R"("dtype":1)") + "}", 4, "header: tensor 'a': 'dtype' holds a number"},
      {"{" + tensor("a", R"("shape":3)") + "}", 4, "header: tensor 'a': 'shape' holds a number"},
      {"{" + f32("a", "[-1]", "[0,4]") + "}", 4,
       "header: tensor 'a': 'shape' holds a negative number"},
      {"{" + f32("a", "[1.0]", "[0,4]") + "}", 4,
       "header: tensor 'a': 'shape' holds a number that is not whole or too large"},
      {"{" + f32("a", "[18446744073709551616]", "[0,4]") + "}", 4,
       "header: tensor 'a': 'shape' holds a number that is not whole or too large"},
      {"{" + f32("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4,
       "header: tensor 'a': 'shape' has more than 8 numbers"},
      {"{" + tensor("a", R"("dtype":"F31","shape":[1],"data_offsets":[0,4])") + "}", 4,
       "tensor 'a' has the unknown dtype 'F31'"},
      {"{" + f32("a", "[1]", "[4,0]") + "}", 4,
       "tensor 'a' begins at byte 4 of the data and ends before, at 0"},
      {"{" + f32("a", "[1]", "[0,4]") + "}", 3,
       "tensor 'a' ends at byte 4 of the data, the file has 3: it is truncated, or its header is "
       "wrong"},
      {"{" + f32("a", "[1]", "[0,18446744073709551615]") + "}", 4,
       "tensor 'a' ends at byte 18446744073709551615 of the data, the file has 4: it is truncated, "
       "or its header is wrong"},
      {"{" + f32("a", "[2]", "[0,4]") + "}", 4,
       "tensor 'a' is F32 [2], which is not the 4 bytes its offsets give it"},
      {"{" + f32("a", "[0]", "[0,4]") + "}", 4,
       "tensor 'a' is F32 [0], which is not the 4 bytes its offsets give it"},
      {"{" + f32("a", "[4294967296,4294967296]", "[0,0]") + "}", 0,
       "tensor 'a' is F32 [4294967296,4294967296], which is not the 0 bytes its offsets give it"},
      {"{" + f32("a", "[4611686018427387905]", "[0,4]") + "}", 4,
       "tensor 'a' is F32 [4611686018427387905], which is not the 4 bytes its offsets give it"},
      {"{" + f32("a", "[9223372036854775808,0]", "[0,0]") + "}", 0,
       "tensor 'a' has a dimension of 9223372036854775808"},
      {"{" + f32("a", "[1]", "[0,4]") + "," + f32("a", "[1]", "[4,8]") + "}", 8,
       "tensor 'a' is in the header twice"},
      {"{" + f32("a", "[2]", "[0,8]") + "," + f32("b", "[1]", "[4,8]") + "}", 8,
       "tensor 'b' overlaps the one before it by 4 bytes"},
      {"{" + f32("a", "[1]", "[0,4]") + "," + f32("b", "[1]", "[0,4]") + "}", 4,
       "tensor 'b' overlaps the one before it by 4 bytes"},
      {"{" + f32("a", "[1]", "[0,4]") + "," + f32("b", "[1]", "[8,12]") + "}", 12,
       "tensor 'b' begins 4 bytes after the one before it ends"},
      {"{" + f32("a", "[1]", "[4,8]") + "}", 8,
       "tensor 'a' begins 4 bytes after the one before it ends"},
      {"{" + f32("a", "[1]", "[0,4]") + "}", 9, "5 bytes follow the last tensor"},
      {"{}", 1, "1 bytes follow the last tensor"},
      {"{" + f32(R"(x\n\u001b[2J\u00e9)", "[2]", "[0,4]") + "}", 4,
       R"(tensor 'x\x0a\x1b[2J\xc3\xa9' is F32 [2], which is not the 4 bytes its offsets give it)"},
  };
  for (const Case& c : cases) {
    const std::string file = safetensors(c.header, std::string(c.data_bytes, '\0'));
    CHECK_MESSAGE(parse_error(file) == "f: " + c.message, c.header.substr(0, 80));
  }
}

TEST_CASE("a header of too many tensors is refused") {
  std::string header = "{";
  for (int i = 0; i <= 65'536; ++i) {
    header += (i == 0 ? "" : ",") + f32("t" + std::to_string(i), "[0]", "[0,0]");
  }
  CHECK(parse_error(safetensors(header + "}", "")) ==
        "f: header: 't65536' is one tensor more than the 65536 allowed");
}

TEST_CASE("a file truncated anywhere is refused") {
  const std::string file = safetensors(
      {{"a", {"F32", "[3]", std::string(12, 'a')}}, {"b", {"F16", "[2]", std::string(4, 'b')}}});
  for (std::size_t size = 0; size < file.size(); ++size) {
    CHECK_MESSAGE(parse_error(file.substr(0, size)) != "no error", size);
  }
  CHECK(parse_error(file) == "no error");
}

TEST_CASE("names in messages stay one short line") {
  CHECK(quote("a'b") == "'a'b'");
  CHECK(quote(std::string_view("\0\t\x7f", 3)) == R"('\x00\x09\x7f')");
  CHECK(quote(std::string(101, 'x')) == "'" + std::string(100, 'x') + "...'");
}

TEST_CASE("bf16 is the upper half of a float") {
  const std::vector<std::uint16_t> halves = {0x3f80, 0xc049, 0x0000, 0x8000, 0x0001, 0x7f7f};
  const std::vector<float> floats = widened(halves, TensorType::kBF16);
  REQUIRE(floats.size() == halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    CHECK(std::bit_cast<std::uint32_t>(floats[i]) == std::uint32_t{halves[i]} << 16);
  }
}

TEST_CASE("every f16 widens to its value") {
  std::vector<std::uint16_t> halves(65'536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> floats = widened(halves, TensorType::kF16);
  REQUIRE(floats.size() == halves.size());
  int wrong = 0;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10) & 31;
    const auto fraction = static_cast<double>(i & 1023);
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) {
      expected = fraction == 0 ? std::numeric_limits<double>::infinity()
                               : std::numeric_limits<double>::quiet_NaN();
    }
    const bool same = std::isnan(expected) ? std::isnan(floats[i])
                                           : static_cast<double>(std::abs(floats[i])) == expected;
    if (!same || std::signbit(floats[i]) != (i >= 32'768)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("f32 is viewed where it is aligned") {
  alignas(float) const char bytes[12] = {0, 0, 0, 0, 0, 0, '\x80', '\x3f', 0, 0, 0, 0};
  const auto at = [&](std::size_t place, std::size_t size) {
    return std::as_bytes(std::span(bytes).subspan(place, size));
  };
  const std::span<const float> aligned = view_float32(at(4, 4), TensorType::kF32);
  REQUIRE(aligned.size() == 1);
  CHECK(aligned[0] == 1.0F);
  CHECK(view_float32(at(3, 8), TensorType::kF32).empty());
  CHECK(view_float32(at(4, 4), TensorType::kBF16).empty());
  std::vector<float> shifted(2);
  widen(at(3, 8), TensorType::kF32, shifted);
  CHECK(std::bit_cast<std::uint32_t>(shifted[0]) == 0x80000000);
  CHECK(std::bit_cast<std::uint32_t>(shifted[1]) == 0x0000003f);
}

TEST_CASE("infinity and NaN are found wherever they stand") {
  for (const float value : {std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (std::size_t place = 0; place < 67; ++place) {
      std::vector<float> values(67, std::numeric_limits<float>::max());
      CHECK(all_finite(values));
      values[place] = value;
      CHECK(!all_finite(values));
    }
  }
}

TEST_CASE("a mapped file has the file's bytes") {
  const TempDir folder;
  write_file(folder / "file", "content");
  MappedFile file(folder / "file");
  const MappedFile moved(std::move(file));
  REQUIRE(moved.bytes().size() == 7);
  CHECK(std::memcmp(moved.bytes().data(), "content", 7) == 0);
  write_file(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE("what cannot be mapped is an error that names it") {
  const TempDir folder;
  const auto message = [](const std::string& path) {
    return error_of([&] { MappedFile file(path); });
  };
  CHECK(message(folder / "none") == folder / "none: cannot be opened: No such file or directory");
  CHECK(message(folder.path()) == folder.path().string() + ": is not a regular file");
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(message(folder / "fifo") == folder / "fifo: is not a regular file");
}

}  // namespace mimi::test
