// exp, expm1, ELU and GELU over Vec, written once for every instruction set: each step is one
// IEEE operation or one explicit fma, so every machine gives the same bits.
// The coefficients are minimax fits, made by scripts/fit_polynomials.py.
#pragma once

// Included after one of simd_*.h, in the one source file of that instruction set.
namespace {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2High = 0.693145751953125f;  // 16 bits, so n * kLn2High is exact
constexpr float kLn2Low = 1.42860682030941723e-6f;
constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

// x = n ln 2 + r, |r| <= ln 2 / 2
struct ExpReduced {
  Vec scale;  // 2^n
  Vec expm1;  // e^r - 1, relative error 2.4e-9 before rounding
};

// x in [-87, 88]
inline ExpReduced reduce_exp(Vec x) {
  const Vec rounder = broadcast(kRounder);
  const Vec rounded = fma(x, broadcast(kLog2E), rounder);
  const Vec n = rounded - rounder;
  Vec r = fma(n, broadcast(-kLn2High), x);
  r = fma(n, broadcast(-kLn2Low), r);
  Vec q = broadcast(1.9845957e-4f);
  q = fma(q, r, broadcast(1.3941652e-3f));
  q = fma(q, r, broadcast(8.3333915e-3f));
  q = fma(q, r, broadcast(4.1666348e-2f));
  q = fma(q, r, broadcast(1.6666666e-1f));
  q = fma(q, r, broadcast(0.5f));
  return {exp2_rounded(rounded), fma(r * r, q, r)};
}

// e^x for x <= 0; below -87 as at -87 (1.6e-38).
inline Vec exp_nonpositive(Vec x) {
  const ExpReduced e = reduce_exp(max(x, broadcast(-87.0f)));
  return fma(e.scale, e.expm1, e.scale);
}

// x > 0 ? x : e^x - 1
inline Vec elu(Vec x) {
  const Vec zero = broadcast(0.0f);
  const Vec negative = min(max(x, broadcast(-87.0f)), zero);
  const ExpReduced e = reduce_exp(negative);
  return select(x > zero, x, fma(e.scale, e.expm1, e.scale - broadcast(1.0f)));
}

// elu for what will be rounded to bf16, which adds four times as much, or to int8: within 4.4e-4 of
// its own size, or 1.2e-7; 12 instructions in place of 19. e^x = 2^n 2^f, 2^f = 1 + f q(f).
inline Vec elu_coarse(Vec x) {
  const Vec negative = max(x, broadcast(-20.0f));  // e^-20 is lost beside 1
  const Vec rounded = fma(negative, broadcast(kLog2E), broadcast(kRounder));
  const Vec f = fma(negative, broadcast(kLog2E), broadcast(kRounder) - rounded);
  Vec q = broadcast(5.5503946e-2f);
  q = fma(q, f, broadcast(2.4203607e-1f));
  q = fma(q, f, broadcast(6.9317853e-1f));
  const Vec exponential = times_exp2(fma(q, f, broadcast(1.0f)), rounded);
  return select(x > broadcast(0.0f), x, exponential - broadcast(1.0f));
}

// x Phi(x) = x / 2 * erfc(-x / sqrt 2), with erfc(z) = exp(-z Q(z)) for z in [0, 4] (absolute error
// 5e-9) and erfc(-z) = 2 - erfc(z). Beyond 4 erfc is below half a unit in the last place of 2.
inline Vec gelu(Vec x) {
  const Vec zero = broadcast(0.0f);
  const Vec scaled = x * broadcast(0.707106781186547524f);
  const Vec magnitude = select(scaled > zero, scaled, zero - scaled);
  const Vec z = select(magnitude > broadcast(4.0f), broadcast(4.0f), magnitude);
  Vec q = broadcast(-8.04382e-6f);
  q = fma(q, z, broadcast(1.0602664e-4f));
  q = fma(q, z, broadcast(-5.8795064e-4f));
  q = fma(q, z, broadcast(1.57676e-3f));
  q = fma(q, z, broadcast(-5.8781367e-5f));
  q = fma(q, z, broadcast(-1.9217143e-2f));
  q = fma(q, z, broadcast(1.0279921e-1f));
  q = fma(q, z, broadcast(6.366161e-1f));
  q = fma(q, z, broadcast(1.1283793f));
  const Vec tail = exp_nonpositive(zero - z * q);
  const Vec twice_phi = select(x > zero, broadcast(2.0f) - tail, tail);
  return x * broadcast(0.5f) * twice_phi;
}

}  // namespace
