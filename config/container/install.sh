#!/bin/sh
# What the container file's RUN does: the environment at the path that is given, small, with its bytecode made.
# Apart, so that it can be tried where no container engine runs.
set -eu
to=$1
python3 -m venv "$to"
pip="$to/bin/python -m pip --quiet --disable-pip-version-check --no-cache-dir"
$pip install --require-hashes --requirement config/container/requirements.lock
$pip install --no-deps --no-build-isolation ./tracker .
$pip uninstall --yes hatchling pathspec pluggy trove-classifiers
site=$(echo "$to"/lib/python*/site-packages)
# 110 MB of descriptions of Google's services, of which Gmail's is the one that is read.
documents=$site/googleapiclient/discovery_cache/documents
find "$documents" -name '*.json' ! -name gmail.v1.json -delete
find "$site" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
$pip uninstall --yes pip
"$to/bin/python" -m compileall -q "$site" || true  # some libraries ship samples that are no Python 3
