#!/bin/sh
# connrace-pods ARGUMENT... runs 'connrace live --netns NAMESPACE ARGUMENT...' for each
# network namespace of the node's pods, for as long as the namespace is there.
set -u
dir=${NETNS_DIR:-/run/netns} # where the container runtime names them
run=${RUN_DIR:-/tmp}
every=${EVERY:-5}

stop() {
	for p in "$run"/*.pid; do
		[ -e "$p" ] && kill "$(cat "$p")" 2>/dev/null
	done
	wait
	exit 0
}
trap stop TERM INT

rm -f "$run"/*.pid # of a container before this one

while :; do
	for ns in "$dir"/*; do
		p=$run/${ns##*/}.pid
		[ -e "$ns" ] || continue
		[ -e "$p" ] && kill -0 "$(cat "$p")" 2>/dev/null && continue
		connrace live --netns "$ns" "$@" &
		echo $! >"$p"
	done
	for p in "$run"/*.pid; do
		ns=${p##*/}
		[ -e "$p" ] && [ ! -e "$dir/${ns%.pid}" ] || continue
		kill "$(cat "$p")" 2>/dev/null
		rm "$p"
	done
	sleep "$every" &
	wait $!
done
