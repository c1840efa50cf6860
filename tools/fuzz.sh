#!/bin/sh
# Runs every fuzz target for the time given, one after the other.
set -eu
cd "$(dirname "$0")/.."
time=${1:-30s}
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
