# Who asks for metrics and never finishes asking costs next to nothing, and keeps nobody out
# who does. A socket's path makes nobody remove what is there.
[[ $EUID == 0 ]] || skip "not root"
command -v ip >/dev/null && command -v python3 >/dev/null || skip "no ip, or no python3"
ns=attack-$$
ip netns add "$ns" 2>/dev/null || skip "no network namespaces"
trap 'ip netns del "$ns"' EXIT
ip -n "$ns" link set lo up

ip netns exec "$ns" "$connrace" live -i lo --target :81 --metrics :9502 --duration 300s >out 2>err &
pid=$!
sleep 2
rss() { awk '/^VmRSS/ { print $2 }' /proc/"$pid"/status; }
before=$(rss)
ip netns exec "$ns" python3 - <<'PY' || fail "a whole request was not answered"
import resource, socket, sys, time
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
most = 20100 if most == resource.RLIM_INFINITY else min(most, 20100)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
def ask():
    s = socket.create_connection(("127.0.0.1", 9502), 5)
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    return b" 200 " in s.recv(100)
half, answered, asked = [], 0, 0
for i in range(19500):
    try:
        s = socket.create_connection(("127.0.0.1", 9502), 5)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 3000)
    except OSError:
        pass
    half.append(s)
    if len(half) > most - 50: # no more descriptors than that
        half.pop(0).close()
    if i % 1000 == 999:
        asked += 1
        answered += ask()
time.sleep(1)
print(answered, "of", asked, "answered")
sys.exit(answered != asked)
PY
after=$(rss)
echo "$before kB before, $after kB after"
((after - before < 40000)) || fail "grew from $before to $after kB"
conns=$(find /proc/"$pid"/fd -lname 'socket:*' | wc -l)
((conns < 80)) || fail "$conns sockets are open"
kill -TERM "$pid"
wait "$pid" || fail "live ended with $?: $(cat err)"

echo precious >kept
for what in kept link; do
	ln -sf kept link
	rc=0
	ip netns exec "$ns" "$connrace" live -i lo --metrics unix:"$dir"/$what --duration 1s >out 2>err || rc=$?
	[[ $rc == 2 ]] || fail "$what: ended with $rc"
done
[[ $(cat kept) == precious && -L link ]] || fail "a file was removed or written to"
