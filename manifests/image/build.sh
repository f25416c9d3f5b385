#!/usr/bin/env bash
# Makes the server's image without a container engine: an OCI archive, as Containerfile describes it. The
# same program gives the same bytes.
#
#   manifests/image/build.sh NAME PROGRAM OUTPUT [ARCHITECTURE]
#
# Then e.g. `ctr images import OUTPUT`, `podman load -i OUTPUT`, or `skopeo copy oci-archive:OUTPUT docker://NAME`.
set -euo pipefail
name=$1 program=$2 output=$3
case ${4:-$(uname -m)} in
  x86_64 | amd64) architecture=amd64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  *) echo "no image for ${4:-$(uname -m)}: amd64 and arm64 are known" >&2 && exit 1 ;;
esac

roots=/etc/ssl/certs/ca-certificates.crt
[ -s "$roots" ] || {
  echo "$roots is missing: https metric servers could not be trusted (Debian: apt-get install ca-certificates)" >&2
  exit 3
}
if ldd "$program" >/dev/null 2>&1 && ! ldd "$program" 2>&1 | grep -q 'statically linked'; then
  echo "$program needs libraries, and the image has none: build it for a musl target" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/etc/ssl/certs" "$work/oci/blobs/sha256"
install -m 0755 "$program" "$work/root/canary-webhook"
install -m 0644 "$roots" "$work/root$roots"

# Owner, time and order depend on nothing but the content.
pack() { tar --create --directory "$1" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=go-w "${@:2}"; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
# blob FILE MEDIATYPE: keeps the file by its digest, and prints its descriptor without the closing brace.
blob() {
  local sum size
  sum=$(digest "$1") size=$(stat -c %s "$1")
  mv "$1" "$work/oci/blobs/sha256/$sum"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%s' "$2" "$sum" "$size"
}

pack "$work/root" . >"$work/layer.tar"
diff_id=$(digest "$work/layer.tar")
gzip -9n "$work/layer.tar"
layer=$(blob "$work/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)

cat >"$work/config" <<JSON
{"architecture":"$architecture","os":"linux","config":{"User":"65532:65532","Entrypoint":["/canary-webhook"],"Labels":{"org.opencontainers.image.source":"https://github.com/kubectl-canary/kubectl-canary","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]}}
JSON
config=$(blob "$work/config" application/vnd.oci.image.config.v1+json)
printf '{"schemaVersion":2,"mediaType":"%s","config":%s},"layers":[%s}]}' \
  application/vnd.oci.image.manifest.v1+json "$config" "$layer" >"$work/manifest"
manifest=$(blob "$work/manifest" application/vnd.oci.image.manifest.v1+json)

printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci/oci-layout"
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
  "$manifest" "$name" "${name##*:}" >"$work/oci/index.json"
mkdir -p "$(dirname "$output")"
pack "$work/oci" blobs index.json oci-layout >"$output"
