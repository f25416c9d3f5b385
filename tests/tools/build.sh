#!/usr/bin/env bash
# Builds the programs that the tests run against (Kubernetes, etcd, kwok, Helm, Flagger, cert-manager, podinfo,
# hey, CoreDNS) from their Go modules, and keeps them by version in the user's cache folder, so that a second
# clone finds them built. Prints the folder that holds them.
#
#   tests/tools/build.sh control-plane    what the cluster level needs
#   tests/tools/build.sh node             also what a real node needs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
level=${1:-control-plane}
cache=${CANARY_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-canary/tools}

say() { printf '%s\n' "$*" >&2; }

apisix=v1.8.4
cert_manager=v1.21.2

# A change of any version is another folder (a comment is not), which takes what did not change from
# where it is kept; an interrupted build leaves nothing that looks complete.
export LC_ALL=C
hash() { sed 's,[[:space:]]*//.*,,' | sha256sum | cut -c1-12; }
out=$cache/$({ cat "$here"/*/go.mod && echo "apisix $apisix cert-manager $cert_manager"; } | hash)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9

version_of() { awk -v m="$2" '$1 == m || $2 == m { print ($1 == m) ? $2 : $3; exit }' "$here/$1/go.mod"; }

require_go() {
  command -v go >/dev/null || {
    say "go is missing: the tests build Kubernetes from its Go modules (https://go.dev/dl, or Debian: apt-get install golang)"
    exit 3
  }
}

# build GROUP BINARY PACKAGE [LDFLAGS]
build() {
  local group=$1 binary=$2 package=$3 flags=${4:-} kept
  [ -x "$out/$binary" ] && return 0
  kept=$cache/kept/$group-$(hash <"$here/$group/go.mod")
  if [ ! -x "$kept/$binary" ]; then
    require_go
    say "building $binary (once for this version)"
    mkdir -p "$kept"
    (cd "$here/$group" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $flags" -o "$kept/.$binary" "$package")
    mv "$kept/.$binary" "$kept/$binary"
  fi
  ln -f "$kept/$binary" "$out/$binary"
}

# copy_module_files MODULE SUBFOLDER NAME: files that a module ships, taken from the module cache.
copy_module_files() {
  local module=$1 sub=$2 name=$3 dir
  [ -d "$out/$name" ] && return 0
  require_go
  dir=$(cd "$here" && go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  rm -rf "$out/.$name"
  cp -r "$dir/$sub" "$out/.$name"
  chmod -R u+w "$out/.$name"
  mv "$out/.$name" "$out/$name"
}

kube=$(version_of kubernetes k8s.io/kubernetes)
minor=${kube#v1.}
stamp="-X k8s.io/component-base/version.gitVersion=$kube -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
  build kubernetes "$name" "k8s.io/kubernetes/cmd/$name" "$stamp"
done
build etcd etcd go.etcd.io/etcd/server/v3
build kwok kwok sigs.k8s.io/kwok/cmd/kwok
# Without the version of Kubernetes that it stands for, Helm renders as for 1.20.
client=$(version_of helm k8s.io/client-go)
client=${client#v0.}
build helm helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=$(version_of helm helm.sh/helm/v3) -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=${client%%.*}"
# Who takes over what an uninstallation leaves.
build flagger flagger github.com/fluxcd/flagger/cmd/flagger
# The newest whose programs are in the module itself; the definitions are those of a release of today.
for name in controller cainjector; do
  build cert-manager "cert-manager-$name" "github.com/cert-manager/cert-manager/cmd/$name"
done
copy_module_files "github.com/apache/apisix-ingress-controller@$apisix" samples/deploy/crd/v1 apisix-crds
copy_module_files "github.com/cert-manager/cert-manager@$cert_manager" deploy/crds cert-manager-crds

if [ "$level" = node ]; then
  for name in kubelet kube-proxy; do build kubernetes "$name" "k8s.io/kubernetes/cmd/$name" "$stamp"; done
  # The scenario releases three versions; podinfo reports the one that its binary was linked with.
  for version in 6.0.0 6.0.1 6.0.2; do
    build podinfo "podinfo-$version" github.com/stefanprodan/podinfo/cmd/podinfo "-X github.com/stefanprodan/podinfo/pkg/version.VERSION=$version"
  done
  build hey hey github.com/rakyll/hey
  build coredns coredns github.com/coredns/coredns
  build pause pause .
fi
printf '%s\n' "$out"
