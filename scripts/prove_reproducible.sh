#!/bin/bash
# scripts/prove_reproducible.sh PRESET: builds the preset, and again from a copy of the sources in a
# folder of another name and depth, in another language and time zone, and compares the program, the
# library and the bill of materials byte for byte. The bill's time is the commit's.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

preset=${1:?usage: scripts/prove_reproducible.sh PRESET}
here=$PWD/build/$preset
elsewhere=$(mktemp -d "${TMPDIR:-/tmp}/mimi-elsewhere-XXXXXX")
trap 'rm -rf "$elsewhere"' EXIT
copy=$elsewhere/deeper/still
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

build() { # FOLDER
  rm -f "$1/build/$preset/mimi.spdx.json"
  (cd "$1" && cmake --preset "$preset" && cmake --build "build/$preset" --target mimi libmimi sbom)
}
mkdir -p "$copy"
git ls-files -z | tar --create --null --files-from=- | tar --extract --touch --directory="$copy"
build .
# A compiler's cache would prove nothing.
(unset CMAKE_CXX_COMPILER_LAUNCHER && TZ=Asia/Kathmandu LC_ALL=C build "$copy")
for file in mimi libmimi.a mimi.spdx.json; do
  cmp "$here/$file" "$copy/build/$preset/$file"
done
