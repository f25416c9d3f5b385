#!/usr/bin/env bash
# Makes the plugin's release archives, their checksums, an SBOM and krew's manifest, in target/dist. The same
# commit and compilers give the same bytes.
#
#   manifests/krew/dist.sh [TARGET…]      all three without one
#
# Needs cargo-zigbuild with zig (pip install cargo-zigbuild ziglang) and cargo-cyclonedx; docs/release.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-pc-windows-gnu)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
repository=$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml | head -1)
out=target/dist

need() { "$@" >/dev/null 2>&1 || { echo "$1 $2 is missing: see docs/release.md" >&2 && exit 3; }; }
need cargo zigbuild --help
need cargo cyclonedx --version

# os and architecture, as Go, kubectl and krew name them.
platform() {
  case $1 in
    x86_64-unknown-linux-*) echo linux amd64 ;;
    aarch64-unknown-linux-*) echo linux arm64 ;;
    x86_64-pc-windows-*) echo windows amd64 ;;
    x86_64-apple-darwin) echo darwin amd64 ;;
    aarch64-apple-darwin) echo darwin arm64 ;;
    *) echo "no archive for $1" >&2 && return 1 ;;
  esac
}

rm -rf "$out"
mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"; rm -f {core,plugin,webhook,tests}/sbom.json' EXIT

# Panics name source files: by the crate, not by where this machine keeps it.
cargo fetch --quiet --locked
flags=("--remap-path-prefix=$PWD=.")
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
  flags+=("--remap-path-prefix=$registry=crates")
done
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
# The time in the SBOM.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

sed -e /^#/d -e "s|@VERSION@|$version|" -e "s|@REPOSITORY@|$repository|" manifests/krew/template.yaml > "$out/canary.yaml"

for target in "${targets[@]}"; do
  platform=$(platform "$target")
  read -r os arch <<< "$platform"
  program=kubectl-canary
  [ "$os" != windows ] || program=kubectl-canary.exe
  echo "building $program for $target"
  rustup target add "$target" >/dev/null 2>&1 || true
  cargo zigbuild --quiet --locked --profile small --target "$target" -p kubectl-canary --bin kubectl-canary

  folder=$stage/$target
  mkdir "$folder"
  install -m 0755 "target/$target/small/$program" "$folder/$program"
  install -m 0644 LICENSE "$folder/LICENSE"
  files=(LICENSE "$program")
  if [ "$os" != windows ]; then
    install -m 0755 plugin/src/command/completion/kubectl.sh "$folder/kubectl_complete-canary"
    files+=(kubectl_complete-canary)
  fi
  archive=kubectl-canary_${version}_${os}_${arch}.tar.gz
  # Owner, time and order depend on nothing but the content.
  tar --create --directory "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 "${files[@]}" |
    gzip --no-name -9 > "$out/$archive"
  sum=$(sha256sum "$out/$archive" | cut -d' ' -f1)
  cat >> "$out/canary.yaml" <<YAML
    - selector: {matchLabels: {os: $os, arch: $arch}}
      uri: $repository/releases/download/v$version/$archive
      sha256: $sum
      bin: $program
YAML
done

# One for all: the crates of every platform, by version and licence. It names our own by their folders here.
cargo cyclonedx --quiet --manifest-path plugin/Cargo.toml --format json --spec-version 1.5 --target all \
  --override-filename sbom
sed "s|path+file://$PWD/|path+file:///kubectl-canary/|g" plugin/sbom.json > "$out/kubectl-canary_${version}_sbom.cdx.json"
(cd "$out" && sha256sum -- *.tar.gz *.json > checksums.txt)
ls -l "$out"
