#!/usr/bin/env bash
# Says what the browser level lacks; as root on Debian it installs the browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../browser"

for program in node npm; do
  command -v $program >/dev/null || { echo "missing: $program (Node.js 20 or newer)" >&2; exit 3; }
done
if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: chromium (Debian: apt-get install chromium)" >&2
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -yq --no-install-recommends chromium >&2
fi
# What is there as the lock file wants it is left alone.
npm ls >/dev/null 2>&1 || npm ci --ignore-scripts --silent
