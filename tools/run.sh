#!/bin/sh
# The main job on the built-in simulated market: a lake that is up and prints what it
# does until Ctrl-C, in a folder that is thrown away. TICKERLAKE_RUN_SECONDS ends it by
# itself, as Ctrl-C would.
set -eu
tickerlake=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/tickerlake.XXXXXX")
pid=
clean() {
	trap - EXIT
	rm -rf "$dir"
}
trap clean EXIT
# The shell outlives the signal, to wait for the stop in good order and to clean up. That
# of Ctrl-C reaches the program too, one to the shell alone is passed on.
trap : INT
trap '[ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null || :' TERM

echo "\$ tickerlake init $dir"
"$tickerlake" init "$dir"
cd "$dir"
sed -i.bak 's/schedule: rate(1 hour)/schedule: rate(1 minute)/' tickerlake.yaml
echo
echo "\$ tickerlake up"
"$tickerlake" up --listen 127.0.0.1:0 --output lines &
pid=$!
if [ -n "${TICKERLAKE_RUN_SECONDS:-}" ]; then
	(sleep "$TICKERLAKE_RUN_SECONDS" && kill -TERM "$pid" 2>/dev/null) &
fi
status=0
wait "$pid" || status=$?
# A signal ends wait early; the program goes on until it has stopped.
while kill -0 "$pid" 2>/dev/null; do
	status=0
	wait "$pid" || status=$?
done
exit "$status"
