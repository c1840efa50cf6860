#!/bin/sh
# Makes .venv with the Python clients of the tests, or prints the path of its Python
# (--path), nothing if it could not be made. With CI=true it must be possible.
set -u
cd "$(dirname "$0")/.." || exit 1
wanted=internal/e2e/requirements.txt
stamp=.venv/requirements.txt

ready() { [ -x .venv/bin/python ] && cmp -s "$wanted" "$stamp"; }

if [ "${1:-}" = --path ]; then
	if ready; then echo "$PWD/.venv/bin/python"; fi
	exit 0
fi
ready && exit 0
refuse() {
	if [ "${CI:-}" = true ]; then
		echo "error: $1" >&2
		exit 1
	fi
	echo "SKIPPED: tests with Python clients: $1" >&2
	exit 0
}
command -v python3 >/dev/null 2>&1 || refuse "python3 is not installed"
[ -f "$wanted" ] || refuse "$wanted is missing"
echo "making .venv with $wanted"
rm -rf .venv
python3 -m venv .venv || refuse "python3 -m venv failed (Debian, Ubuntu: the package python3-venv)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$wanted" || refuse "pip could not install $wanted"
cp "$wanted" "$stamp"
