# Started as root, live and analyze keep no right that they do not use; whoever took the
# program over could neither write elsewhere nor start anything.
[[ $EUID == 0 ]] || skip "not root"
command -v ip >/dev/null || skip "no ip"
ns=attack-$$
ip netns add "$ns" 2>/dev/null || skip "no network namespaces"
trap 'ip netns del "$ns"' EXIT
ip -n "$ns" link set lo up

# start FLAG… runs live in the namespace, and waits until it watches; pid is its own.
start() {
	rm -f err # where the one before it said that
	ip netns exec "$ns" "$connrace" live -i lo -v --duration 60s --format jsonl "$@" >out 2>err &
	pid=$!
	for ((i = 0; i < 300; i++)); do
		grep -qs '^connrace: confined: ' err && return
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	cat err
	fail "live has not begun"
}
stop() {
	kill -TERM "$pid"
	wait "$pid" || { cat err; fail "live ended with $?"; }
}
# threads FIELD VALUE sees that a field of the status of all threads has a value.
threads() {
	local odd
	odd=$(grep -H "^$1:" /proc/"$pid"/task/*/status | grep -Ev "$1:[[:space:]]*$2[[:space:]]*\$" || true)
	[[ -z $odd ]] || fail "not $2 everywhere: $odd"
}
powerless() {
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do threads "$set" 0000000000000000; done
	threads NoNewPrivs 1
}
traffic() { ip netns exec "$ns" bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>/dev/null || true; }

mkdir own
start --evidence own/ev -w own/all.pcapng --html own/page.html --annotate own/kept.pcapng --metrics unix:"$dir"/own/m.sock
powerless
threads Uid '0[[:space:]]+0[[:space:]]+0[[:space:]]+0'
traffic
sleep 1
stop
for f in all.pcapng page.html kept.pcapng; do [[ -s own/$f ]] || fail "$f was not written"; done

# As another user, with all that belongs to being him.
uid=$(id -u nobody) gid=$(id -g nobody)
mkdir his
chown nobody his
start -Z nobody --evidence his/ev -w his/all.pcapng -C 1k --html his/page.html --metrics 127.0.0.1:999
powerless
threads Uid "$uid[[:space:]]+$uid[[:space:]]+$uid[[:space:]]+$uid"
threads Gid "$gid[[:space:]]+$gid[[:space:]]+$gid[[:space:]]+$gid"
threads Groups "($gid[[:space:]]*)+"
for ((i = 0; i < 40; i++)); do traffic; done
sleep 1
stop
[[ -s his/all.pcapng && -s his/all.pcapng1 && -s his/page.html ]] || fail "not all was written: $(ls his)"
foreign=$(find his ! -user nobody)
[[ -z $foreign ]] || fail "not nobody's: $foreign"

# Where he may not write is said at once, and nothing is left there.
mkdir -m 755 roots
rc=0
ip netns exec "$ns" "$connrace" live -i lo -Z nobody -w roots/all.pcapng --duration 1s >out 2>err || rc=$?
[[ $rc == 2 ]] && grep -q 'user nobody may not write there' err || fail "exit $rc: $(cat err)"
[[ -z $(ls roots) ]] || fail "roots has $(ls roots)"

# Outputs that are another user's are still written by root.
start --evidence his/ev -w his/again.pcapng
threads CapPrm 0000000000000002
threads CapEff 0000000000000002
traffic
sleep 1
stop
[[ -s his/again.pcapng ]] || fail "nothing was written where only nobody may"

# analyze, while it waits for its input.
mkfifo in
rm err
"$connrace" analyze -v in >out 2>err &
pid=$!
for ((i = 0; i < 300; i++)); do grep -qs '^connrace: confined: ' err && break; sleep 0.1; done
for set in CapInh CapPrm CapEff CapAmb; do threads "$set" 0000000000000000; done
threads NoNewPrivs 1
cat "$src/pcaps/crowder.pcap" >in
wait "$pid" || fail "analyze ended with $?: $(cat err)"
grep -q fin-request-crossing out || fail "analyze found nothing"
if ! grep -q 'no Landlock' err; then
	# An output's directory that became a link, after the start, leads nowhere else.
	mkdir trap elsewhere
	start --evidence trap/ev -w "trap/all-%S.pcapng" -G 1
	mv trap old
	ln -s elsewhere trap
	for ((i = 0; i < 4; i++)); do traffic; sleep 1; done
	kill -TERM "$pid"
	wait "$pid" || true
	[[ -z $(ls elsewhere) ]] || fail "written elsewhere: $(ls elsewhere)"
	grep -q 'named' err || fail "not said why: $(cat err)"
fi
