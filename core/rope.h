// Rotary position embedding with angles from exact integer positions, so that hour ten is as right
// as second one. Everything is IEEE arithmetic in a fixed order: no library function whose last bit
// depends on the machine.
#pragma once

#include <cstdint>
#include <vector>

namespace mimi {

struct SinCos {
  double sin, cos;
};
// |x| up to 2^30, absolute error below 2e-16.
SinCos sin_cos(double x);

// base^exponent for base > 0, |exponent| <= 1; relative error below 4e-15 for bases up to 1e5.
double power(double base, double exponent);

// Rotates the pairs (i, i + head_dim / 2) of a head at step t by t * theta^(-2i / head_dim).
class Rope {
 public:
  Rope(int head_dim, double theta, int capacity);

  // Makes the angles of steps [first_step, first_step + count), count <= capacity.
  void prepare(std::int64_t first_step, int count);
  // out = in rotated to the row-th prepared step, times scale; both [head_dim].
  void rotate(int row, const float* in, float scale, float* out) const;

 private:
  int half_;
  std::vector<double> frequencies_;     // [half], radians a step
  std::vector<float> cosines_, sines_;  // [capacity x half]
};

}  // namespace mimi
