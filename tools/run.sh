#!/bin/sh
# The main job on the built-in simulated market: fetch, deliver, workflow, a query,
# in a folder that is thrown away.
set -eu
tickerlake=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/tickerlake.XXXXXX")
trap 'rm -rf "$dir"' EXIT INT TERM

step() {
	echo
	echo "\$ tickerlake $*"
	"$tickerlake" "$@"
}
step init "$dir"
cd "$dir"
step fetch
step run
step query "SELECT symbol, count(*) AS bars, min(ts) AS first, max(ts) AS last, round(avg(close), 2) AS mean_close FROM prod.bars_1d GROUP BY symbol ORDER BY symbol"
