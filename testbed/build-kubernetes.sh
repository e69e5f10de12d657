#!/usr/bin/env bash
# Builds the five programs of Kubernetes 1.20 that the testbed runs, from Debian bookworm's source package
# (its binary packages hold only the client). About four minutes on two cores, once: the result is kept in
#   ${CATALYST_TESTBED_CACHE:-$HOME/.cache/catalyst-sre-testbed}/kubernetes-<version>-<hash of this file>
# so that a change of this recipe, and nothing else, builds anew.
#
#   testbed/build-kubernetes.sh            build, unless it is there
#   testbed/build-kubernetes.sh --where    print the directory of the result
#   testbed/build-kubernetes.sh --built    exit 0 when the result is there
#
# Wants golang-go (1.19), golang-github-modern-go-reflect2-dev, xz-utils and apt's package lists; needs no root.
set -euo pipefail

version=1.20.2
programs=(kube-apiserver kube-controller-manager kube-scheduler kubemark)
cache=${CATALYST_TESTBED_CACHE:-$HOME/.cache/catalyst-sre-testbed}
recipe=$(sha256sum "${BASH_SOURCE[0]}")
destination=$cache/kubernetes-$version-${recipe:0:12}

case ${1:-} in
  --where) echo "$destination"; exit 0 ;;
  --built) [[ -x $destination/kube-apiserver ]] && exit 0 || exit 1 ;;
  '') ;;
  *) echo "testbed: unknown argument '$1'; usage: testbed/build-kubernetes.sh [--where|--built]" >&2; exit 2 ;;
esac

# shellcheck source=testbed/phase.sh
source "$(dirname "${BASH_SOURCE[0]}")/phase.sh"

# Binary sources are all most machines have. The same archives, as apt itself reads them, are asked for
# sources from a list and a state directory of our own: the machine's configuration stays as it is.
source_apt() {
  apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root \
    -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}

download_source() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed_by=''
  if [[ -f $keyring ]]; then signed_by="[signed-by=$keyring] "; fi
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/download"
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sort -u | while read -r origin uri release component; do
      if [[ $origin == Debian && $release == bookworm* && $component == main ]]; then
        echo "deb-src $signed_by$uri $release $component"
      fi
    done >"$work/apt/sources.list"
  if [[ ! -s $work/apt/sources.list ]]; then
    echo "apt knows no Debian bookworm main archive; run 'apt-get update' first" >&2
    return 1
  fi
  source_apt update
  (cd "$work/download" && source_apt source --download-only kubernetes)
}

unpack_source() {
  local archive
  archive=$(echo "$work"/download/kubernetes_*"$version".orig.tar.*)
  if [[ ! -f $archive ]]; then
    echo "the archive carries no kubernetes $version any more, only: $(ls "$work/download")" >&2
    return 1
  fi
  mkdir -p "$tree" "$GOPATH/src/k8s.io"
  tar -xf "$archive" -C "$tree" --strip-components=1
  ln -s "$tree" "$GOPATH/src/k8s.io/kubernetes"
}

# replace <file> <old> <new>: one literal text, which must stand there exactly once.
replace() {
  if (($(grep -cF "$2" "$1") != 1)); then
    echo "$1 does not contain exactly once: $2" >&2
    return 1
  fi
  sed -i "s#$2#$3#" "$1"
}

# The pretend kubelet is made fit for a machine that runs several clusters: it listens on loopback only, keeps
# everything below TMPDIR, its container runtime's socket included, in place of one name for all, looks after its
# node and pods every second in place of every ten, and sends its events to the API server.
fit_hollow_kubelet() {
  cd "$tree"
  replace pkg/kubemark/hollow_kubelet.go 'c.Address = "0.0.0.0"' 'c.Address = "127.0.0.1"'
  replace pkg/kubemark/hollow_kubelet.go 'c.NodeStatusUpdateFrequency.Duration = 10 ' 'c.NodeStatusUpdateFrequency.Duration = 1 '
  replace pkg/kubemark/hollow_kubelet.go 'c.SyncFrequency.Duration = 10 ' 'c.SyncFrequency.Duration = 1 '
  replace pkg/kubemark/hollow_kubelet.go 'KubeClient:           client,' \
    'KubeClient: client, EventClient: client.CoreV1(),'
  replace test/utils/tmpdir.go '"io/ioutil"' '"io/ioutil"\n\t"os"'
  replace test/utils/tmpdir.go 'baseDir = "/tmp"' 'baseDir = os.TempDir()'
  replace pkg/kubelet/cri/remote/fake/endpoint.go 'package fake' 'package fake\n\nimport "os"'
  replace pkg/kubelet/cri/remote/fake/endpoint.go 'return defaultUnixEndpoint,' \
    'return "unix://" + os.TempDir() + "/kubelet_remote.sock",'
}

# The vendored reflect2 1.0.1 walks over maps in a way that holds up to Go 1.17; built with 1.19 the API server
# dies at the first custom resource. Debian's package has 1.0.2, where that is mended.
replace_reflect2() {
  local vendored=$tree/vendor/github.com/modern-go/reflect2 mended=/usr/share/gocode/src/github.com/modern-go/reflect2
  rm "$vendored"/*.go "$vendored"/*.s
  cp "$mended"/*.go "$mended"/*.s "$vendored/"
}

# Pretend containers run for ever. Two conventions let tests have others, and the real kubelet then answers with
# real crash loops, back-off, restarts and completed jobs: the command ["exit", "<code>"] ends at once with that
# code, and an image with the tag "absent" cannot be pulled.
let_containers_fail() {
  local runtime=$tree/staging/src/k8s.io/cri-api/pkg/apis/testing
  replace "$runtime/fake_runtime_service.go" $'\tSandboxID string' '\tSandboxID string\n\tCommand []string'
  replace "$runtime/fake_runtime_service.go" 'SandboxID:      podSandboxID,' 'SandboxID: podSandboxID, Command: config.Command,'
  replace "$runtime/fake_runtime_service.go" 'c.StartedAt = time.Now().UnixNano()' \
    'c.StartedAt = time.Now().UnixNano()\n\tc.exitIfTold()'
  replace "$runtime/fake_image_service.go" 'if err := r.popError("PullImage"); err != nil {' \
    'if err := firstError(refuseAbsent(image), r.popError("PullImage")); err != nil {'
  cat >"$runtime/catalyst_testbed.go" <<'GO'
package testing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
)

// exitIfTold ends a container whose command is ["exit", "<code>"].
func (c *FakeContainer) exitIfTold() {
	if len(c.Command) != 2 || c.Command[0] != "exit" {
		return
	}
	code, err := strconv.ParseInt(c.Command[1], 10, 32)
	if err != nil {
		return
	}
	c.State = runtimeapi.ContainerState_CONTAINER_EXITED
	c.FinishedAt = time.Now().UnixNano()
	c.ExitCode = int32(code)
	// What a runtime reports for a process killed by the kernel for its memory.
	if code == 137 {
		c.Reason = "OOMKilled"
	}
}

func refuseAbsent(image *runtimeapi.ImageSpec) error {
	if strings.HasSuffix(image.Image, ":absent") {
		return fmt.Errorf("manifest for %s not found", image.Image)
	}
	return nil
}

func firstError(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}
GO
}

# pkg/generated/openapi/zz_generated.openapi.go is the one generated file the source package lacks. Its
# inputs are the API packages that carry the mark, less those that are samples, tests or generators.
generate_openapi() {
  local inputs
  cd "$GOPATH/src/k8s.io/kubernetes"
  go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  inputs=$(grep -rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=' staging/src pkg |
    grep -vE '/(kube-openapi|code-generator|sample-[a-z]+|[a-z]*example[a-z0-9]*|testapigroup|testdata)/' |
    xargs -n1 dirname | sort -u |
    sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^pkg/#k8s.io/kubernetes/pkg/#' | paste -sd,)
  "$work/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt \
    --input-dirs "$inputs" --output-package k8s.io/kubernetes/pkg/generated/openapi \
    --output-file-base zz_generated.openapi --output-base "$work/generated" \
    --report-filename "$work/openapi-violations"
  sed 's#k8s.io/kubernetes/vendor/##g' \
    "$work/generated/k8s.io/kubernetes/pkg/generated/openapi/zz_generated.openapi.go" \
    >pkg/generated/openapi/zz_generated.openapi.go
}

# Without a version in them the servers call themselves v0.0.0; -s -w leave debug tables out.
compile() {
  local package flags='-s -w'
  for package in component-base/version client-go/pkg/version; do
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitVersion=v$version"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMajor=1"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMinor=20"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitTreeState=clean"
  done
  cd "$GOPATH/src/k8s.io/kubernetes"
  go build -o "$work/out/$1" -ldflags "$flags" "./cmd/$1"
}

mkdir -p "$cache"
# Two installs at once would build twice; the second waits (at most 15 minutes) and finds the result.
exec 9>"$cache/build.lock"
flock -w 900 9 || { say 'kubernetes: another build holds the lock for 15 minutes' >&2; exit 1; }
if [[ -x $destination/kube-apiserver ]]; then exit 0; fi

# What a killed build left; none is at work, for we hold the lock.
rm -rf "$cache"/build.??????

# Beside the result, so that the last step is a rename. Takes a few gigabytes while it lasts.
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
tree=$work/tree
export GOPATH=$work/go GOCACHE=$work/go-cache GOTMPDIR=$work/go-tmp GO111MODULE=off GOFLAGS='' CGO_ENABLED=0
mkdir -p "$work/out" "$GOCACHE" "$GOTMPDIR"

phase 'kubernetes: download the source package' download_source
phase 'kubernetes: unpack' unpack_source
phase 'kubernetes: replace a library that Go 1.19 breaks' replace_reflect2
phase 'kubernetes: fit the hollow kubelet' fit_hollow_kubelet
phase 'kubernetes: let pretend containers fail' let_containers_fail
phase 'kubernetes: generate the OpenAPI definitions' generate_openapi
for program in "${programs[@]}"; do phase "kubernetes: build $program" compile "$program"; done
mv "$work/out" "$destination"
say "kubernetes: built in $SECONDS s: $destination"
