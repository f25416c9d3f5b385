#!/usr/bin/env bash
# Cluster tests that failed beside five others are run once more, alone. What passes then is flaky: it is named, and
# has to be mended, but an hour of CI is not thrown away for it. What fails twice, fails; so do more than three, and
# whatever failed before the cluster tests began.
#
#   tests/tools/again.sh LOG    the output of `make test`
set -euo pipefail
log=$1
most=3

grep -q 'to rerun pass `-p canary-tests --test cluster`' "$log" || {
  echo "it was no cluster test that failed: nothing is run again"
  exit 1
}
mapfile -t failed < <(sed -n '/^failures:$/,/^test result:/s/^    \([a-z0-9_]*\(::[a-z0-9_]*\)*\)$/\1/p' "$log" | sort -u)
if [ "${#failed[@]}" -eq 0 ] || [ "${#failed[@]}" -gt "$most" ]; then
  echo "${#failed[@]} tests failed: that is no chance"
  exit 1
fi
echo "once more and alone: ${failed[*]}"
cargo test --quiet -p canary-tests --test cluster -- --test-threads 1 --exact "${failed[@]}"
printf 'FLAKY, mend it: %s\n' "${failed[@]}"
