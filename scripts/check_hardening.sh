#!/bin/bash
# scripts/check_hardening.sh PROGRAM: a released program has every protection that its compiler and
# linker can give it, and calls nothing that reaches a network.
set -euo pipefail

program=$1
status=0
# has WHAT PATTERN READELF_OPTION: a line that readelf prints matches.
has() {
  if ! grep --quiet --extended-regexp "$2" < <(readelf --wide "$3" "$program"); then
    echo "$program: no $1"
    status=1
  fi
}
has "position independence (PIE)" 'FLAGS_1.*PIE' --dynamic
has "immediate binding (BIND_NOW)" 'FLAGS_1.*NOW' --dynamic
has "relocations that become read-only (RELRO)" '^ *GNU_RELRO ' --program-headers
has "stack that cannot be executed" '^ *GNU_STACK .* RW +0x' --program-headers
has "stack protector" '__stack_chk_fail' --symbols
has "checked calls of the C library (_FORTIFY_SOURCE)" '__(memcpy|snprintf|read|vsnprintf)_chk' --symbols
has "checked element access of the C++ library (_GLIBCXX_ASSERTIONS)" '__glibcxx_assert_fail' --symbols
network=$(nm --dynamic --undefined-only "$program" |
  grep --extended-regexp --word-regexp --only-matching \
    'socket|connect|bind|listen|accept4?|getaddrinfo|gethostbyname[0-9_r]*' || true)
if [ -n "$network" ]; then
  echo "$program: calls of the network:" $network
  status=1
fi
exit "$status"
