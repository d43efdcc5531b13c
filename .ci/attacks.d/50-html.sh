# A capture whose times lie at the end of time (the year 2262), where time stamps no longer
# have a successor, in a page and in everything else.
python3 - "$dir" <<'PY' 2>/dev/null || skip "no python3"
import struct, sys

def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

def packet(src, dst, sport, dport, seq, ack, flags):
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes(src), bytes(dst))
    return b"\2" * 12 + b"\x08\0" + ip + tcp

lb, target = [10, 0, 0, 1], [10, 0, 0, 2]
for name, stamps in {
    "last": [2**64 - 1] * 2, "max": [2**63 - 1] * 2, "near": [2**63 - 3, 2**63 - 2], "far": [0, 2**63 - 1], "first": [1, 1], "zero": [0, 0],
}.items():
    b = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    b += block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0)) # nanoseconds
    for t, p in zip(stamps, [packet(lb, target, 1000, 80, 5, 0, 2), packet(target, lb, 80, 1000, 0, 6, 0x14)]):
        b += block(6, struct.pack("<IIIII", 0, t >> 32, t & 0xFFFFFFFF, len(p), len(p)) + p)
    open(f"{sys.argv[1]}/{name}.pcapng", "wb").write(b)
PY
for capture in "$dir"/*.pcapng; do
	for format in table json jsonl csv markdown; do
		rm -rf "$dir/evidence"
		"$connrace" analyze -v --format $format --html "$dir/page.html" --annotate "$dir/annotated" --evidence "$dir/evidence" "$capture" >"$dir/report"
		[[ $capture == */far.* ]] || grep -q connection-refused "$dir/report" || fail "$capture, $format: the finding is missing"
		! grep -q NaN "$dir/page.html" || fail "$capture: NaN in the page"
	done
done
