#!/bin/sh
# The set-up of `make`: checks what the machine must bring, makes the virtual environment, fetches the Kafka jars once.
set -eu
stop() { echo "reelstream: $*" >&2; exit 4; }

command -v "$PYTHON" >/dev/null 2>&1 || stop "there is no $PYTHON; install Python 3.11 or newer, or run make PYTHON=/path/to/python3."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  stop "$("$PYTHON" --version) is too old; install Python 3.11 or newer, or run make PYTHON=python3.11."
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || stop "Python's venv is missing; on Debian or Ubuntu: apt install python3-venv."
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge 2500 ] || stop "this disk has $free_mb MB left; the set-up needs 2500. Free some first."

echo "setting up $VENV (about two minutes the first time) …"
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" "$(dirname "$0")/reelstream/embedded/java.py" || exit 4
log=$VENV/setup.log
"$VENV/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt >"$log" 2>&1 ||
  stop "the packages can't be installed: $(grep -iE 'error|no matching' "$log" | tail -n 1). Check the network and run make setup again; all of it is in $log."
"$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >>"$log" 2>&1 ||
  stop "reelstream itself can't be installed; see $log."
"$VENV/bin/python" -m reelstream.broker.jars
"$VENV/bin/python" -m reelstream.als
