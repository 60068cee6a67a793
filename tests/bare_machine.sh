#!/bin/sh
# `make demo` and `make test` on a bare Debian 12: python3, python3-venv, make, git, ca-certificates and nothing else.
# As root everything must come by itself; as a user without rights, what can't be had is one sentence.
# Needs root, debootstrap and about 8 GB:  sh tests/bare_machine.sh [DIRECTORY]
set -eu
cd "$(dirname "$0")/.."
project=$(pwd)
work=${1:-$(mktemp -d /tmp/bare-machine.XXXXXX)}
bare=$work/debian
log=$work/log
say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }

[ "$(id -u)" = 0 ] || { say "reelstream: this needs root, to make a Debian of its own; run it with sudo."; exit 4; }
command -v debootstrap >/dev/null || { say "reelstream: this needs debootstrap; apt install debootstrap."; exit 4; }

end() { [ "${KEEP:-}" ] || rm -rf --one-file-system "$work"; }
trap end EXIT
trap 'exit 130' INT TERM

mkdir -p "$work"
[ -x "$bare/usr/bin/python3" ] ||
  debootstrap --variant=minbase --include=python3,python3-venv,make,git,ca-certificates bookworm "$bare" >"$log" ||
  fail "debootstrap; see $log"
# How this machine reaches the network is not what is tested.
cp /etc/resolv.conf /etc/hosts "$bare/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$bare/etc/ssl/certs/"
certificates=/etc/ssl/certs/ca-certificates.crt

# What runs in it has it as the root of a mount namespace of its own, as in a container: in a mere chroot the kernel allows no
# further namespaces, which tests of a full disk need. The namespace and its mounts end with what runs in it.
enter='
  mount --bind "$1" "$1" && cd "$1" && mkdir -p .outside
  for name in proc sys dev; do mount --rbind "/$name" "$name"; done
  pivot_root . .outside && umount -l /.outside
  user=$2; shift 2
  exec chroot --userspec="$user:$user" / "$@"'

inside() { # user, words: as that user, with nothing set but what a login sets
  user=$1; shift
  unshare --mount --propagation private sh -c "$enter" sh "$bare" "$user" /usr/bin/env -i HOME="$home" \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 SSL_CERT_FILE=$certificates \
    REQUESTS_CA_BUNDLE=$certificates PIP_CERT=$certificates ${forbid:+$forbid} "$@"
}
fresh() { # user: a clean checkout in an empty directory
  rm -rf "$bare$home/reelstream"
  git clone -q "$project" "$bare$home/reelstream"
  chroot "$bare" chown -R "$1:$1" "$home"
}
timed() { # title, words
  title=$1; shift
  began=$(date +%s)
  code=0
  "$@" >"$log" 2>&1 || code=$?
  say "$title: exit code $code after $(($(date +%s) - began)) s; it says"
  say "  $(grep -E '^reelstream: |^All of it took|passed|failed' "$log" | tail -n 1)"
}

chroot "$bare" sh -c 'id user >/dev/null 2>&1 || useradd --create-home --shell /bin/sh user'
install -d "$bare/root"

home=/home/user
fresh user
timed "user, no Java: make demo" inside user sh -c 'cd ~/reelstream && make demo'
[ "$code" = 0 ] || { [ "$(grep -c '^reelstream: ' "$log")" = 1 ] && grep -q 'Java 17 or newer is needed' "$log"; } ||
  fail "neither a demo nor one sentence; see $log"

home=/root
fresh root
forbid=REELSTREAM_NO_INSTALL=1
timed "root, nothing may be installed: make demo" inside root sh -c 'cd ~/reelstream && make demo'
forbid=
[ "$code" = 0 ] || grep -q 'REELSTREAM_NO_INSTALL forbids' "$log" || fail "it does not say that it was forbidden; see $log"
[ ! -e "$bare/usr/bin/java" ] || fail "a Java was installed though that was forbidden"

timed "root: make demo" inside root sh -c 'cd ~/reelstream && make demo'
[ "$code" = 0 ] || fail "make demo as root; see $log"
grep -q 'on this system by apt' "$log" || fail "it installed a Java without saying so"
say "  .venv: $(($(du -s --apparent-size -B1 "$bare/root/reelstream/.venv" | cut -f1) / 1000000)) MB"
timed "root: make demo again" inside root sh -c 'cd ~/reelstream && make demo'
timed "root: make test" inside root sh -c 'cd ~/reelstream && make test'
[ "$code" = 0 ] || fail "make test as root; see $log"
rm -rf "$bare/root/reelstream" "$bare/root/.cache"

home=/home/user
timed "user, Java and Chromium are there: make demo" inside user sh -c 'cd ~/reelstream && make demo'
[ "$code" = 0 ] || fail "make demo as a user; see $log"
timed "user, Java and Chromium are there: make test" inside user sh -c 'cd ~/reelstream && make test'
[ "$code" = 0 ] || fail "make test as a user; see $log"
say "passed"
