#include "core/config.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/files.h"

namespace mimi::test {

namespace {

using nlohmann::json;

// A config.json that has `changes` over the published Mimi's defaults.
Config parse(const std::string& changes) {
  json object = {{"model_type", "mimi"}};
  object.merge_patch(json::parse(changes));
  return parse_config(object.dump(), "config.json");
}

// As merge_patch() takes null for removal, texts with null are given whole.
std::string message(const std::string& text) {
  return error_of([&] { parse_config(text, "config.json"); });
}

}  // namespace

TEST_CASE("absent keys have the published Mimi's values") {
  const Config config = parse("{}");
  CHECK(config.sampling_rate == 24000);
  CHECK(config.hidden_size == 512);
  CHECK(config.upsampling_ratios == std::vector<int>{8, 6, 5, 4});
  CHECK(config.codebook_size == 2048);
  CHECK(config.sliding_window == 250);
  CHECK(config.norm_eps == 1e-5);
  CHECK(config.rope_theta == 10000.0);
  CHECK(config.head_dim() == 64);
  CHECK(config.hop_samples() == 960);
  CHECK(config.frame_samples() == 1920);
  CHECK(config.frame_rate() == 12.5);
}

TEST_CASE("every dimension is read") {
  const Config config = parse(R"({
    "sampling_rate": 16000, "audio_channels": 1, "hidden_size": 48, "num_filters": 6,
    "num_residual_layers": 2, "upsampling_ratios": [5, 4, 2], "kernel_size": 5,
    "last_kernel_size": 9, "residual_kernel_size": 2, "dilation_growth_rate": 3, "compress": 3,
    "codebook_size": 100, "codebook_dim": 10, "vector_quantization_hidden_dimension": 10,
    "num_quantizers": 7, "num_semantic_quantizers": 1, "upsample_groups": 48,
    "num_hidden_layers": 3, "intermediate_size": 70, "num_attention_heads": 6,
    "num_key_value_heads": 6, "head_dim": 8, "sliding_window": 20, "norm_eps": 1e-6,
    "rope_theta": 5000, "frame_rate": 200.0})");
  CHECK(config_text(config) ==
        "sampling_rate 16000\naudio_channels 1\nhidden_size 48\nnum_filters 6\n"
        "num_residual_layers 2\nkernel_size 5\nlast_kernel_size 9\nresidual_kernel_size 2\n"
        "dilation_growth_rate 3\ncompress 3\ncodebook_size 100\ncodebook_dim 10\n"
        "num_quantizers 7\nnum_semantic_quantizers 1\nupsample_groups 48\nnum_hidden_layers 3\n"
        "intermediate_size 70\nnum_attention_heads 6\nsliding_window 20\n"
        "upsampling_ratios 5,4,2\nnorm_eps 9.9999999999999995e-07\nrope_theta 5000\n");
  CHECK(config.head_dim() == 8);
  CHECK(config.frame_samples() == 80);
  CHECK(config.frame_rate() == 200.0);
}

TEST_CASE("rope_theta stands where either generation of transformers puts it") {
  CHECK(parse(R"({"rope_theta": 500})").rope_theta == 500);
  CHECK(parse(R"({"rope_parameters": {"rope_theta": 500.5, "rope_type": "default"}})").rope_theta ==
        500.5);
  CHECK(parse(R"({"rope_parameters": {"rope_type": "default"}})").rope_theta == 10000);
  CHECK(parse(R"({"rope_theta": 500, "rope_parameters": {"rope_theta": 500}})").rope_theta == 500);
  CHECK(parse(R"({"rope_theta": 500, "rope_parameters": {}})").rope_theta == 500);
}

TEST_CASE("null stands for absent where transformers takes it so") {
  const Config config = parse_config(
      R"({"model_type": "mimi", "upsampling_ratios": null, "frame_rate": null,
          "_frame_rate": null, "head_dim": null,
          "rope_theta": null, "rope_scaling": null, "rope_parameters": {"rope_theta": null}})",
      "config.json");
  CHECK(config_text(config) == config_text(Config()));
}

TEST_CASE("keys that change no result are not looked at") {
  CHECK(config_text(parse(R"({"use_cache": true, "attention_dropout": 0.5, "dtype": "bfloat16",
    "max_position_embeddings": 1, "layer_scale_initial_scale": 7, "architectures": ["A"],
    "transformers_version": "9", "initializer_range": 3, "use_streaming": true})")) ==
        config_text(Config()));
}

TEST_CASE("the shipped model's configuration is accepted") {
  const Config config =
      parse_config(read_file(source_dir() / "model" / "config.json"), "config.json");
  CHECK(config.hidden_size == 192);
  CHECK(config.head_dim() == 32);
}

TEST_CASE("a file that is not a JSON object is refused") {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"a":)";
  CHECK(message("") == "config.json: is not valid JSON at byte 1");
  CHECK(message("{") == "config.json: is not valid JSON at byte 2");
  CHECK(message("{} {}") == "config.json: is not valid JSON at byte 4");
  CHECK(message("{\"a\": NaN}") == "config.json: is not valid JSON at byte 7");
  CHECK(message("{\"\xff\": 1}") == "config.json: is not valid JSON at byte 3");
  CHECK(message("[]") == "config.json: is not a JSON object");
  CHECK(message("7") == "config.json: is not a JSON object");
  CHECK(message(deep) == "config.json: is nested more than 16 levels deep");
  CHECK(message(R"({"norm_eps": 1e999})") ==
        "config.json: holds a number too large for any computer");
  CHECK(message(R"({"hidden_size": 1, "x": {"hidden_size": 1}, "hidden_size": 1})") ==
        "config.json: has 'hidden_size' twice");
  CHECK(message(std::string(1'048'577, ' ')) ==
        "config.json: is 1048577 bytes long, expected at most 1048576");
  CHECK(message("{}") == "config.json: 'model_type' is missing, expected \"mimi\"");
}

TEST_CASE("a value that Mimi cannot have is refused with key, found and expected") {
  struct Case {
    const char* changes;
    const char* message;
  };
  const Case cases[] = {
      {R"("model_type":"encodec")", R"('model_type' is "encodec", expected "mimi")"},
      {R"("model_type":null)", R"('model_type' is null, expected "mimi")"},
      {R"("use_causal_conv":false)", "'use_causal_conv' is false, expected true"},
      {R"("use_causal_conv":1)", "'use_causal_conv' is 1, expected true"},
      {R"("pad_mode":"reflect")", R"('pad_mode' is "reflect", expected "constant")"},
      {R"("trim_right_ratio":0.5)", "'trim_right_ratio' is 0.5, expected 1.0"},
      {R"("use_conv_shortcut":true)", "'use_conv_shortcut' is true, expected false"},
      {R"("hidden_act":"gelu_new")", R"('hidden_act' is "gelu_new", expected "gelu")"},
      {R"("attention_bias":true)", "'attention_bias' is true, expected false"},
      {R"("audio_channels":2)", "'audio_channels' is 2, expected 1"},
      {R"("num_semantic_quantizers":2)", "'num_semantic_quantizers' is 2, expected 1"},
      {R"("num_key_value_heads":4)",
       "'num_key_value_heads' is 4, expected 8, as num_attention_heads"},
      {R"("num_attention_heads":4)",
       "'num_key_value_heads' is 8 (the default, as it is missing), expected 4, as "
       "num_attention_heads"},
      {R"("head_dim":32)", "'head_dim' is 32, expected 64, hidden_size / num_attention_heads"},
      {R"("codebook_dim":128)",
       "'vector_quantization_hidden_dimension' is 256 (the default, as it is missing), expected "
       "128, as codebook_dim"},
      {R"("upsample_groups":256)", "'upsample_groups' is 256, expected 512, as hidden_size"},
      {R"("frame_rate":25)", "'frame_rate' is 25, expected 12.5, that of 1920 samples at 24000 Hz"},
      {R"("_frame_rate":75)",
       "'_frame_rate' is 75, expected 12.5, that of 1920 samples at 24000 Hz"},
      {R"("sampling_rate":16000,"frame_rate":12.5)",
       "'frame_rate' is 12.5, expected 8.333333333333334, that of 1920 samples at 16000 Hz"},
      {R"("frame_rate":"12.5")", R"('frame_rate' is "12.5", expected a number)"},
      {R"("rope_scaling":{"type":"linear","factor":2})",
       R"('rope_scaling': 'type' is "linear", expected "default")"},
      {R"("rope_parameters":{"rope_type":"yarn"})",
       R"('rope_parameters': 'rope_type' is "yarn", expected "default")"},
      {R"("rope_parameters":{"partial_rotary_factor":0.5})",
       "'rope_parameters': 'partial_rotary_factor' is 0.5, expected 1.0"},
      {R"("rope_parameters":[])", "'rope_parameters' is [], expected an object"},
      {R"("rope_theta":100,"rope_parameters":{"rope_theta":200})",
       "'rope_parameters': 'rope_theta' is 200, expected 100, as outside"},
      {R"("rope_theta":0.5)", "'rope_theta' is 0.5, expected 1 to 1e12"},
      {R"("norm_eps":0)", "'norm_eps' is 0, expected above 0, at most 1"},
      {R"("norm_eps":-1e-5)", "'norm_eps' is -1e-05, expected above 0, at most 1"},
      {R"("norm_eps":null)", "'norm_eps' is null, expected a number"},
      {R"("hidden_size":null)", "'hidden_size' is null, expected a whole number"},
      {R"("hidden_size":"512")", R"('hidden_size' is "512", expected a whole number)"},
      {R"("hidden_size":512.0)", "'hidden_size' is 512.0, expected a whole number"},
      {R"("hidden_size":0)", "'hidden_size' is 0, expected 2 to 16384"},
      {R"("hidden_size":-512)", "'hidden_size' is -512, expected 2 to 16384"},
      {R"("hidden_size":17000)", "'hidden_size' is 17000, expected 2 to 16384"},
      {R"("hidden_size":4294967808)",
       "'hidden_size' is 4294967808, expected at most 1000000000 either side of 0"},
      {R"("hidden_size":18446744073709551615)",
       "'hidden_size' is 18446744073709551615, expected at most 1000000000 either side of 0"},
      {R"("hidden_size":-9223372036854775808)",
       "'hidden_size' is -9223372036854775808, expected at most 1000000000 either side of 0"},
      {R"("hidden_size":500,"upsample_groups":500)",
       "'hidden_size' is 500, expected an even multiple of num_attention_heads, 8"},
      {R"("hidden_size":24,"upsample_groups":24)",
       "'hidden_size' is 24, expected an even multiple of num_attention_heads, 8"},
      {R"("num_filters":0)", "'num_filters' is 0, expected 1 to 4096"},
      {R"("num_filters":63)", "'num_filters' is 63, expected a multiple of compress, 2"},
      {R"("compress":0)", "'compress' is 0, expected 1 to 4096"},
      {R"("num_residual_layers":0)", "'num_residual_layers' is 0, expected 1 to 8"},
      {R"("num_residual_layers":8,"dilation_growth_rate":16)",
       "'dilation_growth_rate' is 16, expected dilated residual layers that reach back at most "
       "4096 steps"},
      {R"("codebook_size":65537)", "'codebook_size' is 65537, expected 2 to 65536"},
      {R"("codebook_size":1)", "'codebook_size' is 1, expected 2 to 65536"},
      {R"("num_quantizers":1)", "'num_quantizers' is 1, expected 2 to 256"},
      {R"("num_attention_heads":0)", "'num_attention_heads' is 0, expected 1 to 8192"},
      {R"("sliding_window":null)", "'sliding_window' is null, expected a whole number"},
      {R"("sliding_window":1)", "'sliding_window' is 1, expected 2 to 65536"},
      {R"("num_residual_layers":8,"residual_kernel_size":1,"dilation_growth_rate":16)",
       "'dilation_growth_rate' is 16, expected dilated residual layers that reach back at most "
       "4096 "
       "steps"},
      {R"("num_filters":1,"upsampling_ratios":[64,64,8])",
       "'upsampling_ratios' is a frame of 65536 samples or more, expected at most 65535"},
      {R"("sliding_window":65536)",
       "'sliding_window' is 65536, expected at most 2^28 keys and values in all layers"},
      {R"("upsampling_ratios":[])", "'upsampling_ratios' is a list of 0, expected 1 to 8"},
      {R"("upsampling_ratios":[2,2,2,2,2,2,2,2,2])",
       "'upsampling_ratios' is a list of 9, expected 1 to 8"},
      {R"("upsampling_ratios":[8,6,0,4])",
       "'upsampling_ratios' is a list with 0, expected 1 to 64"},
      {R"("upsampling_ratios":[8,6,65,4])",
       "'upsampling_ratios' is a list with 65, expected 1 to 64"},
      {R"("upsampling_ratios":[8,"6"])", R"('upsampling_ratios' is "6", expected a whole number)"},
      {R"("upsampling_ratios":8)", "'upsampling_ratios' is 8, expected a list of whole numbers"},
      {R"("upsampling_ratios":[64,64,64,64])",
       "'upsampling_ratios' is too large with num_filters 64, expected at most 65536 channels, "
       "and 2^24 values in a frame of the widest layer"},
      {R"("num_filters":4096,"upsampling_ratios":[1,1,1,1,1])",
       "'upsampling_ratios' is too large with num_filters 4096, expected at most 65536 channels, "
       "and 2^24 values in a frame of the widest layer"},
      {R"("pad_mode":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])",
       R"('pad_mode' is ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..., )"
       R"(expected "constant")"},
      {R"("pad_mode":"a\n\u001bé")", R"('pad_mode' is "a\n\u001b\u00e9", expected "constant")"},
  };
  for (const Case& c : cases) {
    const std::string changes = c.changes;
    const bool has_type = changes.starts_with(R"("model_type")");
    const std::string text = (has_type ? "{" : R"({"model_type":"mimi",)") + changes + "}";
    CHECK_MESSAGE(message(text) == std::string("config.json: ") + c.message, changes);
  }
}

}  // namespace mimi::test
