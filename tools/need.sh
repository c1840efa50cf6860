#!/bin/sh
# Says what is missing to build, if anything.
set -u
missing=0
need() {
	echo "missing: $1" >&2
	missing=1
}
if ! command -v go >/dev/null 2>&1; then
	need "Go 1.26 or newer: https://go.dev/dl (unpack it into your home folder and put its bin folder into PATH)"
else
	version=$(go env GOVERSION 2>&1)
	case $version in
	go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) ;;
	*) need "Go 1.26 or newer (here: $version): https://go.dev/dl" ;;
	esac
	cc=$(go env CC 2>/dev/null)
	if ! command -v "${cc%% *}" >/dev/null 2>&1; then
		case $(uname -s) in
		Darwin) need "a C compiler (${cc:-cc}): xcode-select --install" ;;
		*) need "a C compiler (${cc:-cc}): install gcc or clang with its C++ library (Debian, Ubuntu: gcc g++; Fedora: gcc gcc-c++)" ;;
		esac
	fi
	if [ "$(go env CGO_ENABLED 2>/dev/null)" = 0 ] && command -v "${cc%% *}" >/dev/null 2>&1; then
		need "cgo: it is turned off by CGO_ENABLED=0 (unset it)"
	fi
fi
exit $missing
