# Neither a link nor a pipe under a name that can be foreseen leads an output elsewhere, or
# keeps it waiting.
[[ $EUID == 0 ]] || skip "needs root: others lay the links"
shared=$dir/shared capture=$src/pcaps/crowder.pcap name=0001-fin-request-crossing-0.pcapng
mkdir "$shared"
chmod 1777 "$shared"
echo precious >victim

# untouched WHAT: the victim is, and nothing was written through a link that led nowhere.
untouched() {
	[[ $(cat victim) == precious ]] || fail "$1 overwrote what a link led to"
	[[ ! -e made ]] || fail "$1 made a file where a link led to"
}
# refuses WHAT FLAG FILE: it ends at once, with an error.
refuses() {
	local rc=0
	timeout 10 "$connrace" -q "$2" "$3" "$capture" >out 2>err || rc=$?
	[[ $rc == 2 ]] || fail "$1: ended with $rc, not 2: $(cat err)"
	untouched "$1"
}

for flag in --annotate --html; do
	as_nobody ln -sf "$dir/victim" "$shared/link"
	refuses "$flag and a link" "$flag" "$shared/link"
	as_nobody ln -sf "$dir/made" "$shared/link"
	refuses "$flag and a link that led nowhere" "$flag" "$shared/link"
	rm -f "$shared/pipe"
	as_nobody mkfifo "$shared/pipe"
	refuses "$flag and a pipe" "$flag" "$shared/pipe"
	# A file that somebody prepared, to read what will be written, or with a second name.
	rm -f "$shared/file"
	as_nobody bash -c 'umask 0; : >"$1"' bash "$shared/file"
	exec 3<"$shared/file"
	"$connrace" -q "$flag" "$shared/file" "$capture" >out
	[[ $(stat -c %u:%a "$shared/file") == 0:600 ]] || fail "$flag kept the owner or the permissions of another user's file"
	[[ -z $(cat <&3) ]] || fail "$flag wrote into another user's file"
	exec 3<&-
	rm "$shared/file"; ln victim "$shared/file"
	"$connrace" -q "$flag" "$shared/file" "$capture" >out
	untouched "$flag and a hard link"
	rm "$shared/file"
done

# --evidence: a link for the directory, and links and pipes in it.
mkdir elsewhere
as_nobody ln -s "$dir/elsewhere" "$shared/ev"
refuses "--evidence and a link" --evidence "$shared/ev"
[[ -z $(ls elsewhere) ]] || fail "--evidence followed a link"
for kind in "ln -s $dir/victim" "ln -s $dir/made" mkfifo; do
	rm -rf "$shared/e"
	as_nobody mkdir "$shared/e"
	# shellcheck disable=SC2086
	as_nobody $kind "$shared/e/$name"
	refuses "--evidence and $kind" --evidence "$shared/e"
done

# A pipe that nobody writes to: a signal ends it, and where it lies among logs it is passed over.
mkfifo silent
"$connrace" -q silent >out 2>err &
pid=$!
sleep 0.5
kill -TERM "$pid"
for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
! kill -0 "$pid" 2>/dev/null || { kill -KILL "$pid"; fail "a signal does not end waiting for a pipe"; }
for flag in --log --baseline; do
	rc=0
	timeout --preserve-status -k 5 1 "$connrace" -q "$flag" silent "$capture" >out 2>err || rc=$?
	[[ $rc != 137 ]] || fail "a signal does not end $flag of a pipe"
done
mkdir logs; mkfifo logs/pipe.log
timeout 10 "$connrace" -q --log logs "$capture" >out 2>err || fail "a pipe among logs: ended with $?"

# -w, which is written to while it grows.
command -v ip >/dev/null && ip netns add "attack-$$" 2>/dev/null || exit 0
trap 'ip netns del "attack-$$"' EXIT
ip -n "attack-$$" link set lo up
w() { ip netns exec "attack-$$" timeout 10 "$connrace" live -i lo --duration 0.3s -q "$@" >out 2>err; }
for target in victim made; do
	as_nobody ln -sf "$dir/$target" "$shared/link"
	! w -w "$shared/link" || fail "-w followed a link"
	untouched -w
done
! w -w "$shared/pipe" || fail "-w took a pipe"
grep -q 'is a named pipe' err || fail "-w and a pipe: $(cat err)"
ln victim "$shared/hard"
w -w "$shared/hard" || fail "-w: $(cat err)"
untouched "-w and a hard link"
[[ $(stat -c %a "$shared/hard") == 644 || $(stat -c %a "$shared/hard") == 600 ]] || fail "-w: $(stat -c %a "$shared/hard")"
w -w new.pcapng --annotate new2.pcapng --html new.html || fail "$(cat err)"
[[ $(stat -c %a new.pcapng new2.pcapng new.html | sort -u) == 600 ]] || fail "others may read: $(ls -l new*)"
