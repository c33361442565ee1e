#!/bin/sh
# Every benchmark, in an environment of its own with the peers that are compared; see bench/README.md.
set -eu
cd "$(dirname "$0")/.."
if ! cmp -s bench/requirements.lock .venv-bench/.installed; then
    "${PYTHON:-python3}" -m venv --clear .venv-bench
    .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement bench/requirements.lock
    cp bench/requirements.lock .venv-bench/.installed
fi
export PYTHONPATH=.
for bench in middleware host storage report beside backtest mail tick loop purge daemon; do
    printf '\n== %s\n' "$bench"
    .venv-bench/bin/python "bench/$bench.py"
done
