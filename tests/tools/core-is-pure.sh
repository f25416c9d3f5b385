#!/usr/bin/env bash
# The rules know no runtime and no client: what is not there cannot be called.
set -euo pipefail
found=$(cargo tree -p canary-core --edges normal --prefix none | awk '{ print $1 }' | sort -u |
  grep -xE 'tokio|hyper|reqwest|kube-client|kube-runtime|tower' || true)
if [ -n "$found" ]; then
  printf 'canary-core depends on %s\n' $found
  exit 1
fi
