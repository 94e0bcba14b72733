#!/usr/bin/env bash
# Installs the programs that quiet.py runs into target/, and rsync and the sqlite3 shell where they are missing. What cannot
# be installed is said, and quiet.py skips the kinds that need it.
set -uo pipefail
cd "$(dirname "$0")"
target=../../target

missing() { echo "tests/quiet: could not install $1; the kinds that need it are skipped" >&2; }

packages=()
for program in rsync sqlite3; do
    command -v "$program" >/dev/null || packages+=("$program")
done
if [ ${#packages[@]} -gt 0 ]; then
    # Another package's list may be out of date; the installation says whether that matters.
    apt-get update -q || true
    for package in "${packages[@]}"; do
        apt-get install -y -q "$package" || missing "$package"
    done
fi

if ! cmp -s requirements.txt $target/quiet-venv/requirements.txt; then
    if python3 -m venv $target/quiet-venv && $target/quiet-venv/bin/pip install -q -r requirements.txt; then
        cp requirements.txt $target/quiet-venv/
    else
        missing "the Python packages of requirements.txt"
    fi
fi

if ! command -v npm >/dev/null; then
    missing "better-sqlite3 (there is no npm)"
elif ! cmp -s package-lock.json $target/quiet-node/package-lock.json || [ ! -d $target/quiet-node/node_modules/better-sqlite3/build ]; then
    mkdir -p $target/quiet-node
    cp package.json package-lock.json $target/quiet-node/
    # It is built from its source where there is no finished binary, which takes some minutes.
    (cd $target/quiet-node && npm ci --omit=dev --no-audit --no-fund) || missing better-sqlite3
fi
exit 0
