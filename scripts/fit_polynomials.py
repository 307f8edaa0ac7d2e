#!/usr/bin/env python3
"""fit_polynomials.py [--check]: the coefficients in kernels/vector_math.h.

Fits each polynomial to its function so that the largest weighted error is the least possible, and
prints the coefficients as float32 with the error that they leave, before any rounding of the
evaluation. With --check, fails unless the header has them. Needs NumPy and mpmath.
"""
import argparse
import os
import re
import sys

import mpmath as mp
import numpy as np

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kernels", "vector_math.h")


def chebyshev_nodes(low, high, count):
    middle, radius = (low + high) / 2, (high - low) / 2
    return [middle + radius * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def fit(x, y, weight, degree, rounds=300):
    """Lawson's method: least squares, the points where the error is large counting more each time.

    Returns the best round's coefficients, lowest power first.
    """
    powers = np.vander(x, degree + 1, increasing=True)
    lawson = np.ones(len(x))
    best_error, best = np.inf, None
    for _ in range(rounds):
        root = np.sqrt(lawson) * weight
        coefficients = np.linalg.lstsq(powers * root[:, None], y * root, rcond=None)[0]
        error = np.abs((powers @ coefficients - y) * weight)
        if error.max() < best_error:
            best_error, best = error.max(), coefficients
        lawson *= error / error.max() + 1e-3  # never quite 0: a point may matter again
        lawson /= lawson.sum()
    return best


class Polynomial:
    """`target` on [low, high], where an error counts `weight` times."""

    def __init__(self, title, function, target, weight, low, high, degree, nodes):
        self.title, self.function = title, function
        points = chebyshev_nodes(low, high, nodes)
        self.x = np.array([float(p) for p in points])
        self.y = np.array([float(target(p)) for p in points])
        self.weight = np.array([float(weight(p)) for p in points])
        self.coefficients = fit(self.x, self.y, self.weight, degree).astype(np.float32)

    def error(self, coefficients):
        value = np.polynomial.polynomial.polyval(self.x, coefficients.astype(np.float64))
        return np.abs((value - self.y) * self.weight).max()


def polynomials():
    mp.mp.dps = 40
    half_ln2 = mp.log(2) / 2
    return [
        Polynomial("expm1(r) = r + r^2 q(r), relative error", "reduce_exp",
                   lambda r: (mp.expm1(r) - r) / r**2, lambda r: abs(r**2 / mp.expm1(r)),
                   -1.01 * half_ln2, 1.01 * half_ln2, degree=5, nodes=400),
        Polynomial("2^f = 1 + f q(f), error of 2^f - 1 relative to it", "elu_coarse",
                   lambda f: (mp.mpf(2)**f - 1) / f, lambda f: abs(f / (mp.mpf(2)**f - 1)),
                   mp.mpf("-0.501"), mp.mpf("0.501"), degree=2, nodes=400),
        Polynomial("erfc(z) = exp(-z q(z)), absolute error", "gelu",
                   lambda z: -mp.log(mp.erfc(z)) / z, lambda z: z * mp.erfc(z),
                   mp.mpf("1e-6"), mp.mpf(4), degree=8, nodes=800),
    ]


def header_coefficients(function):
    """What q is made of in a function of the header, lowest power first."""
    with open(HEADER) as file:
        text = file.read()
    body = re.search(rf"\b{function}\(Vec x\) \{{\n(.*?)\n\}}\n", text, re.S)[1]
    chain = re.findall(r"\bq = (?:fma\(q, \w+, )?broadcast\(([-+.e\d]+)f\)", body)
    return np.array(chain[::-1], dtype=np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the header")
    check = parser.parse_args().check
    for p in polynomials():
        print(f"{p.title} {p.error(p.coefficients):.2g}")
        for power, c in enumerate(p.coefficients):
            print(f"  x^{power}  {c!s:>16}f")
        if not check:
            continue
        found = header_coefficients(p.function)
        if len(found) != len(p.coefficients):
            sys.exit(f"{HEADER}: {p.function} has {len(found)} coefficients, "
                     f"expected {len(p.coefficients)}")
        # Another linear algebra library may round the last place otherwise.
        if np.any(np.abs(found - p.coefficients) > np.spacing(np.abs(p.coefficients))):
            sys.exit(f"{HEADER}: {p.function} has {found}, expected {p.coefficients}")


if __name__ == "__main__":
    main()
