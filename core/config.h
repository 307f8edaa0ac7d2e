// Every dimension of a Mimi model, read from config.json in Hugging Face's form.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mimi {

// The members carry config.json's names and, as defaults, the published Mimi's values, which a key
// that is missing takes, as in transformers' MimiConfig. What is not here is fixed: one channel,
// one semantic quantizer, causal zero-padded convolutions, GELU, plain rotary positions, as many
// key-value heads as heads, a depthwise upsampling of 2 behind the transformer.
struct Config {
  int sampling_rate = 24000;
  int audio_channels = 1;
  int hidden_size = 512;
  int num_filters = 64;  // channels after the first convolution; doubled by each ratio
  int num_residual_layers = 1;
  std::vector<int> upsampling_ratios = {8, 6, 5,
                                        4};  // the decoder's order; the encoder's is reversed
  int kernel_size = 7;
  int last_kernel_size = 3;
  int residual_kernel_size = 3;
  int dilation_growth_rate = 2;  // residual layer j of a stage has dilation growth^j
  int compress = 2;              // a residual unit's inner channels are its outer ones / compress
  int codebook_size = 2048;
  int codebook_dim = 256;
  int num_quantizers = 32;
  int num_semantic_quantizers = 1;
  int upsample_groups = 512;
  int num_hidden_layers = 8;
  int intermediate_size = 2048;
  int num_attention_heads = 8;
  int sliding_window = 250;  // steps that attention sees, itself included
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;

  int head_dim() const { return hidden_size / num_attention_heads; }
  int hop_samples() const;    // samples a SEANet step stands for: 960
  int frame_samples() const;  // samples a frame of codes stands for: 1920
  double frame_rate() const;  // frames of codes a second: 12.5
};

// Reads the text of a config.json. Throws Error, naming `source`, the key, what was found and what
// was expected, when the text is not JSON, a value is out of bounds, or a key asks for another
// graph than Mimi's. Keys that change no result (dropout, caching, initialisation) are not looked
// at.
Config parse_config(std::string_view json, const std::string& source);

// Throws Error, naming `source`, when a dimension is out of bounds or does not fit the others.
void check_config(const Config& config, const std::string& source);

// Every value that decides results, as lines "<key> <value>\n", for Checkpoint::fingerprint():
// sampling_rate, audio_channels, hidden_size, num_filters, num_residual_layers, kernel_size,
// last_kernel_size, residual_kernel_size, dilation_growth_rate, compress, codebook_size,
// codebook_dim, num_quantizers, num_semantic_quantizers, upsample_groups, num_hidden_layers,
// intermediate_size, num_attention_heads and sliding_window in decimal, upsampling_ratios in
// decimal joined by commas, norm_eps and rope_theta as C's "%.17g" prints them.
std::string config_text(const Config& config);

// A config.json that parse_config() reads as `config`.
std::string config_json(const Config& config);

}  // namespace mimi
