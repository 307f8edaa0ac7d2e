#!/bin/bash
# scripts/make_sbom.sh VERSION COMPILER PROGRAM HEADER...: what a program was made of, as SPDX 2.3 in
# JSON on stdout: the shared libraries that it names, the compiler, and the libraries of which it holds
# code from HEADERs, each with the version of its Debian package (elsewhere: NOASSERTION).
set -euo pipefail

version=$1 compiler=$2 program=$3
shift 3

# package_of FILE: "NAME VERSION". Debian knows the files of / or of /usr alone by the one name.
package_of() {
  local file found
  file=$(readlink -f "$1")
  for path in "$file" "${file#/usr}" "$1"; do
    found=$(dpkg-query --search "$path" 2>/dev/null | sed -n '1s/[:,].*//p') || continue
    if [ -n "$found" ]; then
      dpkg-query --show --showformat '${Package} ${Version}\n' "$found" | head -1
      return
    fi
  done
  echo "$(basename "$1") NOASSERTION"
}

# Lines "RELATION NAME VERSION".
parts() {
  local name path
  while read -r name; do
    path=$(ldd "$program" | sed -n "s|^.*\b$name => \(/[^ ]*\).*|\1|p; s|^\s*\(/[^ ]*/$name\) .*|\1|p")
    echo "DYNAMIC_LINK $(package_of "${path:-$name}")"
  done < <(readelf --wide --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  for path; do echo "STATIC_LINK $(package_of "$path")"; done
  echo "BUILD_TOOL_OF $(package_of "$(command -v "$compiler")")"
}
list=$(parts "$@" | sort -u)

package() { # NAME VERSION
  printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s",\n' "${1//[^A-Za-z0-9.-]/-}" "$1" "$2"
  printf '     "downloadLocation": "NOASSERTION", "filesAnalyzed": false}'
}
relationship() { # FROM RELATION TO
  printf '    {"spdxElementId": "SPDXRef-%s", "relationshipType": "%s", "relatedSpdxElement": "SPDXRef-%s"}' \
    "${1//[^A-Za-z0-9.-]/-}" "$2" "${3//[^A-Za-z0-9.-]/-}"
}

cat <<JSON
{
  "spdxVersion": "SPDX-2.3",
  "dataLicense": "CC0-1.0",
  "SPDXID": "SPDXRef-DOCUMENT",
  "name": "mimi-$version",
  "documentNamespace": "https://spdx.org/spdxdocs/mimi-$version-$(sha256sum <<<"$list" | cut -c1-32)",
  "creationInfo": {
    "created": "$(date --utc --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)",
    "creators": ["Tool: make_sbom.sh"]
  },
  "packages": [
JSON
package mimi "$version"
while read -r _ name its_version; do
  printf ',\n'
  package "$name" "$its_version"
done < <(cut -d' ' -f2- <<<"$list" | sort -u | sed 's/^/- /')
printf '\n  ],\n  "relationships": [\n'
relationship DOCUMENT DESCRIBES mimi
while read -r relation name _; do
  printf ',\n'
  case $relation in
    BUILD_TOOL_OF) relationship "$name" "$relation" mimi ;;
    *) relationship mimi "$relation" "$name" ;;
  esac
done <<<"$list"
printf '\n  ]\n}\n'
