#!/bin/sh
# Writes requirements.lock and those of bench/ and config/container/ anew: every package with its hashes, no registry named.
# Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
compile() {
    # The tracker is this checkout's own: setup.sh installs it from its folder.
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-package usage-guardian-tracker "$@"
}
compile pyproject.toml --all-extras --group test --output-file requirements.lock
compile pyproject.toml --group bench --output-file bench/requirements.lock
compile pyproject.toml --extra gmail --extra firestore --group container --constraint requirements.lock --output-file config/container/requirements.lock
