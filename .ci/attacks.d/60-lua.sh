# Who can write to the directory of a capture puts a FIFO where the script looks for JSON, or
# a program of his own where a PATH with the current directory finds it.
command -v tshark >/dev/null || skip "no tshark"
tshark --version | grep -q 'with Lua' || skip "no tshark with Lua"
export WIRESHARK_CONFIG_DIR=$dir/config HOME=$dir/config
mkdir "$dir/config" "$dir/here"
"$connrace" wireshark install "$dir/config" >/dev/null
cp "$src/pcaps/nginx-node-race.pcap" "$dir/here/x.pcap"
cd "$dir/here"

show() {
	timeout 60 tshark -n -X "lua_script:$(find "$dir/config" -name connrace.lua)" "$@" -T fields -e connrace.rule 2>/dev/null
}

# That it works at all, by JSON and by running the program.
rules() { show -r x.pcap | grep -c fin-request-crossing || true; }
"$connrace" --format json x.pcap >x.pcap.connrace.json
[[ $(PATH=/usr/bin:/bin rules) -gt 0 ]] || fail "no findings by JSON"
rm x.pcap.connrace.json
[[ $(PATH=${connrace%/*}:/usr/bin:/bin rules) -gt 0 ]] || fail "no findings by the program"

# A FIFO beside the capture, by name, and as the capture.
mkfifo x.pcap.connrace.json
show -r x.pcap >/dev/null || fail "a FIFO beside the capture: $?"
CONNRACE_JSON=$dir/here/x.pcap.connrace.json show -r x.pcap >/dev/null || fail "a FIFO in the environment: $?"
show -o "connrace.json:$dir/here/x.pcap.connrace.json" -r x.pcap >/dev/null || fail "a FIFO in the preference: $?"
rm x.pcap.connrace.json
mkfifo in.pcap
(cat x.pcap >in.pcap) &
show -r in.pcap >/dev/null || fail "a FIFO as the capture: $?"
wait
rm in.pcap

# Programs that lie in the current directory, and one that a preference names from there.
mkdir bin
for name in connrace test readlink lsof pwd; do
	printf '#!/bin/sh\ntouch "%s"\n' "$dir/ran-$name" >$name
	chmod +x $name
	cp $name bin/
done
for path in ".:/usr/bin:/bin" ":/usr/bin:/bin" "bin:/usr/bin:/bin" "/usr/bin:/bin:" "/usr/bin:/bin::."; do
	PATH=$path show -r x.pcap >/dev/null || true
	ran=$(find "$dir" -name 'ran-*')
	[[ -z $ran ]] || fail "PATH=$path: $ran"
done
for program in ./connrace bin/connrace; do
	show -o "connrace.program:$program" -r x.pcap >/dev/null
	[[ ! -e $dir/ran-connrace ]] || fail "ran $program"
done
