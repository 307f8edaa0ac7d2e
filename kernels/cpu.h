// What the CPU is, and which of its instructions the OS lets it run.
#pragma once

#include <string>

namespace mimi::kernels {

// Each implies what the kernels for it are built with besides. False on other architectures.
struct CpuFeatures {
  bool avx2 = false;  // and FMA
  bool avx_vnni = false;
  bool avx512 = false;  // F, DQ, BW and VL
  bool avx512_vnni = false;
  bool avx512_bf16 = false;  // and VNNI
  bool amx_int8 = false;     // and AVX-512 with both of these
  bool dotprod = false;
  bool i8mm = false;
};

const CpuFeatures& cpu_features();

// "AMD EPYC 9B14" or as near as the machine tells.
std::string cpu_name();

}  // namespace mimi::kernels
