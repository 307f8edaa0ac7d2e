#!/bin/bash
# scripts/prove_fresh.sh [--sudo] [--ci]: run the README's two commands on the committed tree in a
# fresh minimal Debian 12 that has git and nothing else, as root or, with --sudo, as a user who may
# use it; with --ci, the tests with all the checks. Needs root and debootstrap; takes mirrors and
# their settings from this machine's own apt and pip.
set -euo pipefail

packages=git
user=root
tests=scripts/test
for option; do
  case $option in
    --sudo) packages=git,sudo user=stranger ;;
    --ci) tests=.ci/run ;;
    *)
      echo "usage: scripts/prove_fresh.sh [--sudo] [--ci]" >&2
      exit 2
      ;;
  esac
done
source_tree=$(dirname "$(dirname "$(readlink -f "$0")")")
sample=$(git -C "$source_tree" ls-files 'samples/*.flac' | head -1)
root=$(mktemp -d "${TMPDIR:-/tmp}/mimi-fresh-XXXXXX")
chmod 755 "$root"
export LC_ALL=C.UTF-8

clean_up() {
  for mount in dev/shm dev/pts dev proc; do
    if mountpoint -q "$root/$mount"; then umount "$root/$mount"; fi
  done
  rm -rf --one-file-system "$root"
}
trap clean_up EXIT

# What apt on this machine reads, as one line of sources.list for each place.
debian_sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT) # $(ORIGIN) $(CODENAME)' \
    'Identifier: Packages' | sed -n 's/ # Debian bookworm.*//p' | sort -u
}
sources=$(debian_sources)
mirror=$(sed -n 's/^deb \([^ ]*\) bookworm main$/\1/p' <<<"$sources" | head -1)
if [ -z "$mirror" ]; then
  echo "this machine's apt knows no mirror of Debian bookworm" >&2
  exit 1
fi

echo "== a minimal Debian 12 from $mirror"
debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" >"$root.log" || {
  cat "$root.log"
  exit 1
}
rm "$root.log"
echo "$sources" >"$root/etc/apt/sources.list"
apt-config dump Acquire::http Acquire::https >"$root/etc/apt/apt.conf.d/90network"
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/etc/ssl/certs"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$root/etc/"; fi
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"

if [ $user != root ]; then
  chroot "$root" useradd --create-home --shell /bin/bash $user
  echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
fi
git -C "$source_tree" bundle create --quiet "$root/tmp/mimi.bundle" HEAD
chmod 644 "$root/tmp/mimi.bundle"

# in_fresh TITLE COMMAND: as the user, in the user's home.
in_fresh() {
  local begin=$SECONDS
  echo "== $1: $2"
  chroot "$root" su --login "$user" --command "$2" </dev/null
  echo "   ($((SECONDS - begin)) s)"
}
in_fresh "clone" "git clone --quiet /tmp/mimi.bundle mimi"
in_fresh "first call" "cd mimi && scripts/mimi roundtrip $sample out.wav && ls -l out.wav"
in_fresh "next call, from elsewhere" "mimi/scripts/mimi roundtrip -f mimi/$sample mimi/out.wav"
in_fresh "start-up" "cd mimi && time scripts/mimi --version"
in_fresh "tests" "cd mimi && $tests"
