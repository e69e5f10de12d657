#!/usr/bin/env bash
# Installs the real servers that integration tests use: from Debian bookworm's packages, and Kubernetes
# from Debian's source package. Idempotent; when everything is there it only looks and says so.
#
#   testbed/install.sh [--without-kubernetes]
#
# Starts no service and stops none: what is installed is run by the tests, on loopback, in temporary
# directories. The Kubernetes build is kept in ${CATALYST_TESTBED_CACHE:-$HOME/.cache/catalyst-sre-testbed}.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=testbed/phase.sh
source "$here/phase.sh"

# What building Kubernetes wants is added only where it must still be built; see the end.
packages=(postgresql postgresql-15 prometheus prometheus-alertmanager etcd-server git iproute2 openssl knot unbound)
packages+=(redis-server pdns-server pdns-backend-sqlite3 sqlite3 chromium)
with_kubernetes=yes
for argument in "$@"; do
  case $argument in
    --without-kubernetes) with_kubernetes=no ;;
    -h | --help)
      sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "testbed: unknown argument '$argument'; usage: testbed/install.sh [--without-kubernetes]" >&2
      exit 2
      ;;
  esac
done

missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# Debian's packages start their service when they are installed, unless this file says no (exit 101).
# What stood there before is put aside for the time of the install; a run that was killed half way is
# recognised by the mark or by the file put aside, and repaired.
policy=/usr/sbin/policy-rc.d
policy_aside=$policy.before-catalyst-testbed
policy_mark='# written by catalyst-sre testbed/install.sh'
restore_policy() {
  if [[ -f $policy ]] && grep -qF "$policy_mark" "$policy"; then rm -f "$policy"; fi
  if [[ -e $policy_aside ]]; then mv -f "$policy_aside" "$policy"; fi
}
forbid_service_starts() {
  restore_policy
  trap restore_policy EXIT
  if [[ -e $policy ]]; then mv "$policy" "$policy_aside"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
  chmod 755 "$policy"
}

# Retries and a lock limit: another apt may be at work on a fresh machine.
apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)); then
    say "not installed: ${missing[*]}. Run testbed/install.sh as root." >&2
    exit 1
  fi
  phase 'package lists' apt update
  forbid_service_starts
  phase "install ${missing[*]}" apt install -y --no-install-recommends "${missing[@]}"
  restore_policy
}

report() {
  local name path
  say 'available counterparts:'
  while read -r name path; do
    if [[ -x $path ]]; then say "  yes  $name  ($path)"; else say "  NO   $name  ($path is missing)"; fi
  done <<LIST
postgresql   /usr/lib/postgresql/15/bin/postgres
prometheus   /usr/bin/prometheus
promtool     /usr/bin/promtool
alertmanager /usr/bin/prometheus-alertmanager
amtool       /usr/bin/amtool
etcd         /usr/bin/etcd
git-http     /usr/lib/git-core/git-http-backend
redis        /usr/bin/redis-server
powerdns     /usr/sbin/pdns_server
knot         /usr/sbin/knotd
unbound      /usr/sbin/unbound
chromium     /usr/bin/chromium
kubernetes   $("$here/build-kubernetes.sh" --where)/kube-apiserver
LIST
}

build=no
if [[ $with_kubernetes == yes ]] && ! "$here/build-kubernetes.sh" --built; then
  build=yes
  packages+=(golang-go golang-github-modern-go-reflect2-dev xz-utils ca-certificates)
fi
install_packages "${packages[@]}"
if [[ $build == yes ]]; then "$here/build-kubernetes.sh"; fi
report
