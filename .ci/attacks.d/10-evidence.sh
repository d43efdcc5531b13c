# What lies in the directory of --evidence and was not written by connrace stays, whatever it
# is called; an index that somebody else can have written is not believed.
[[ $EUID == 0 ]] || skip "needs root"
command -v ip >/dev/null || skip "needs ip"
ns=attack-$$
ip netns add "$ns" 2>/dev/null || skip "no network namespaces here"
trap 'ip netns del "$ns"' EXIT
ip -n "$ns" link set lo up

# refused N: watch while N connections are refused, each a finding; at most 2 files are kept.
refused() {
	local n=$1 ev=$2 pid
	ip netns exec "$ns" "$connrace" live -i lo --target :81 --format jsonl --evidence "$ev" --evidence-max 2 >out 2>err &
	pid=$!
	for _ in $(seq 100); do grep -q 'handle with care' err && break; sleep 0.1; done
	sleep 0.5
	for _ in $(seq "$n"); do
		ip netns exec "$ns" bash -c 'exec 3<>/dev/tcp/127.0.0.1/81' 2>/dev/null || true
	done
	sleep 2
	kill -TERM "$pid"
	wait "$pid" || fail "live ended with $?: $(cat err)"
}
mine() { find "$1" -name '*connection-refused*' -newer stamp | wc -l; }

mkdir ev
touch -d '1 minute ago' stamp
for name in 2024-trace.pcapng 0001-connection-refused-0.pcapng 0000-x-1.pcapng; do echo mine >"ev/$name"; done
touch -d '2 minutes ago' ev/*.pcapng
refused 4 ev
for name in 2024-trace.pcapng 0001-connection-refused-0.pcapng 0000-x-1.pcapng; do
	[[ $(cat "ev/$name") == mine ]] || fail "$name is gone"
done
grep -q 'did not write' err || fail "nothing was said of the captures that were there: $(cat err)"
[[ $(mine ev) == 2 ]] || fail "$(mine ev) files of evidence, not 2: $(ls ev)"

# Its own are removed by the next run, but not what has taken the place of one.
one=$(find ev -name '*connection-refused*' -newer stamp | head -1)
rm "$one"; echo mine >"$one"
refused 3 ev
[[ $(cat "$one") == mine ]] || fail "$one was replaced by its user, and removed"

# An index that names the user's file, written by another user, or by anybody.
for owner in 65534:0600 0:0666; do
	rm -rf bad; mkdir bad
	echo mine >bad/0001-mine-0.pcapng
	printf 'connrace evidence 1\n0001-mine-0.pcapng %s 5\n' "$(stat -c %i bad/0001-mine-0.pcapng)" >bad/.connrace-index
	chown "${owner%:*}" bad/.connrace-index; chmod "${owner#*:}" bad/.connrace-index
	refused 3 bad
	[[ -e bad/0001-mine-0.pcapng ]] || fail "an index with $owner was believed"
	grep -q 'is not believed' err || fail "nothing was said of the index with $owner"
done

# Nobody else can read any of it.
rm -rf fresh
refused 3 fresh
[[ -z $(find fresh -perm /077) ]] || fail "others may read: $(ls -la fresh)"
