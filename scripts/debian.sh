#!/bin/sh
# Installs the Debian packages of packages.apt that are missing. Where it may not (no apt, not root) it says which tests
# will be skipped for it; under CI=true that is an error, since there nothing may be skipped.
set -eu
cd "$(dirname "$0")/.."
missing=""
for package in $(sed 's/#.*//' packages.apt); do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	if apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
		exit 0
	fi
fi
if [ "${CI:-}" = true ]; then
	echo "these Debian packages are needed and could not be installed:$missing" >&2
	exit 1
fi
echo "not installed (tests that need them are skipped):$missing; install them with: apt-get install$missing" >&2
