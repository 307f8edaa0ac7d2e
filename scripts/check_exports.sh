#!/bin/bash
# scripts/check_exports.sh BUILD_DIR: an object built for one instruction set may export its table
# of kernels, or those kernels of it that it has, and nothing else. Anything more, inline functions above all, the linker could choose
# for the whole program, which would then stop on a machine without those instructions.
set -euo pipefail

found=0
status=0
for object in "$1"/CMakeFiles/mimi_kernels.dir/kernels/{portable,avx2,avx_vnni,avx512,avx512_amx,avx512_bf16,avx512_vnni,neon,neon_dotprod,neon_i8mm}.cpp.o; do
  if [ ! -e "$object" ]; then continue; fi  # of another architecture
  found=$((found + 1))
  exported=$(nm --defined-only --extern-only --demangle --format=posix "$object" | sed 's/ [A-Za-z] .*//')
  if ! [[ $exported =~ ^mimi::kernels::k[A-Za-z0-9]+(Table|Kernels)$ ]]; then
    printf '%s: exports this, expected one table of kernels:\n%s\n' "$object" "$exported"
    status=1
  fi
done
if [ "$found" -lt 2 ]; then
  echo "$1: $found objects of kernels found, expected the portable one and more"
  status=1
fi
exit "$status"
