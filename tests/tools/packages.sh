#!/usr/bin/env bash
# Says which programs of the operating system a real node lacks; as root on Debian it installs them.
set -euo pipefail

programs=(
  containerd:containerd ctr:containerd runc:runc /usr/lib/cni/ptp:containernetworking-plugins
  nft:nftables ip:iproute2 prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager ldd:libc-bin unshare:util-linux nsenter:util-linux
  musl-gcc:musl-tools zsh:zsh fish:fish
)

PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "${programs[@]}"; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (Debian: apt-get install ${missing[*]})" >&2
  exit 3
fi

# The tests start their own: the packages' services stay off.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >&2
apt-get install -yq --no-install-recommends "${missing[@]}" >&2
