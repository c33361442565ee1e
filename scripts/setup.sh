#!/bin/sh
# Makes .venv with everything that requirements.lock pins, once per change of the lock; safe to call again.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Guardian needs Python 3.11 or newer as '$python'; set PYTHON=/path/to/python3.11 and try again." >&2; exit 1; }
stamp=.venv/.installed
sum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }  # the second on macOS
wanted=$(cat requirements.lock pyproject.toml tracker/pyproject.toml scripts/setup.sh | sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0
echo "Setting up .venv (once, about a minute) …"
if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
    # Debian ships ensurepip in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        "$python" -m venv --clear .venv
    else
        echo "Python's venv module is missing: run 'sudo apt-get install python3-venv' and try again." >&2; exit 1
    fi
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable ./tracker --editable .
printf '%s' "$wanted" > "$stamp"
