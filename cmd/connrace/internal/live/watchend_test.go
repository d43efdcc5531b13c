package live

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// What the load balancer's log and an earlier report are compared with at the end of live
// is what analyze compares them with; so are the formats that come at the end.
func TestWatchBeside(t *testing.T) {
	dir := t.TempDir()
	data, err := pcaps.File("nginx-node-race.pcap")
	if err != nil {
		t.Fatal(err)
	}
	race := clitest.Put(t, dir, "nginx-node-race.pcap")
	before := filepath.Join(dir, "before.json")
	_, stdout, _ := analyzed(t, "--format", "json", race)
	if err := os.WriteFile(before, []byte(stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--log", clitest.Put(t, dir, "nginx-node-race.error.log"), "--baseline", before, "--lb-idle-timeout", "60s"}
	both := func(format string) (live, offline string) {
		args := append(slices.Clone(args), "--format", format)
		x := watchFake(t, fakeCapture(t, "race", bytes.NewReader(data)), nil, args...)
		code, offline, stderr := analyzed(t, append(args, race)...)
		if x.code != cli.ExitOK || code != cli.ExitOK {
			t.Errorf("%s: exit %d, %s; of analyze %d, %s", format, x.code, x.stderr, code, stderr)
		}
		return x.stdout, offline
	}

	type compared struct {
		Log struct {
			Entries, Failed, Explained, Ambiguous, Unexplained any
			ByRule                                             any `json:"by_rule"`
			Outside                                            any `json:"outside_capture"`
		}
		Baseline map[string]any
	}
	read := func(s string) (c compared) {
		t.Helper()
		if err := json.Unmarshal([]byte(s), &c); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		return c
	}
	text := func(c compared) string {
		b, _ := json.Marshal(c)
		return string(b)
	}
	live, offline := both("json")
	got, want := read(live), read(offline)
	if text(got) != text(want) || got.Log.Explained == 0.0 || got.Log.Explained == nil || got.Baseline == nil {
		t.Errorf("live\n%s\nanalyze\n%s", text(got), text(want))
	}
	schema, _ := clitest.Schemas(t)
	clitest.Validate(t, schema, "live --log --baseline", []byte(live))

	live, offline = both("csv")
	rows := func(s string) (rules []string) {
		t.Helper()
		rs, err := csv.NewReader(strings.NewReader(s)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		col := slices.Index(rs[0], "rule")
		for _, r := range rs {
			rules = append(rules, r[col])
		}
		slices.Sort(rules)
		return rules
	}
	if got, want := rows(live), rows(offline); !slices.Equal(got, want) || len(got) < 2 {
		t.Errorf("rows of CSV: live %q, analyze %q", got, want)
	}

	live, offline = both("markdown")
	sections := func(s string) (titles []string) {
		for l := range strings.Lines(s) {
			if strings.HasPrefix(l, "## ") {
				titles = append(titles, l)
			}
		}
		return titles
	}
	if got, want := sections(live), sections(offline); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("sections of Markdown: live %q, analyze %q", got, want)
	}
}

// At the end the packets in memory are written with the findings on them; all of them
// here, so they are what was watched.
func TestWatchAnnotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcapng")
	src := newFakeSource(t, "crowder")
	x := watchFake(t, src, nil, "--annotate", path)
	fs := clitest.Of(clitest.Lines(t, x.stdout), "finding")
	if x.code != cli.ExitOK || len(fs) != 1 || len(fs[0].Evidence) == 0 {
		t.Fatalf("exit %d: %s", x.code, x.stderr)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile("x", bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]capture.Frame, len(src.frames)+1)
	n, _ := in.Read(batch)
	if n != len(src.frames) {
		t.Errorf("%d frames of %d", n, len(src.frames))
	}
	for i, f := range batch[:n] {
		if g := &src.frames[i]; f.Time != g.Time || !bytes.Equal(f.Data, g.Data) {
			t.Fatalf("frame %d is not what was captured", i+1)
		}
	}
	if got := bytes.Count(data, []byte("connrace fin-request-crossing #1 (certain): ")); got != len(fs[0].Evidence) {
		t.Errorf("%d comments for %d segments of evidence", got, len(fs[0].Evidence))
	}
	clitest.Readable(t, path, false)
	if es, _ := os.ReadDir(filepath.Dir(path)); len(es) != 1 {
		t.Errorf("%d files", len(es))
	}

	// Where there is no room for all, the newest are there.
	small := newFakeSource(t, "crowder")
	for i := range small.frames {
		small.frames[i].Data = append(small.frames[i].Data, make([]byte, 1<<14)...)
	}
	x = watchFake(t, small, nil, "--annotate", path, "--evidence-memory", "1MB", "-q")
	st, err := os.Stat(path)
	if err != nil || x.code != cli.ExitOK || st.Size() > 1<<20 || st.Size() < 1<<19 {
		t.Errorf("exit %d, %v, %d octets", x.code, err, st.Size())
	}
	if n := clitest.Readable(t, path, false); n == 0 || n >= len(small.frames) {
		t.Errorf("%d frames", n)
	}
}

// Where there were too many findings to keep them all, a log is compared with those that
// are kept.
func TestWatchLogOfWeeks(t *testing.T) {
	src := newFakeSource(t, "connection-refused").again(3000)
	log := filepath.Join(t.TempDir(), "error.log")
	var b strings.Builder
	for _, f := range []*capture.Frame{&src.frames[0], &src.frames[len(src.frames)-1]} {
		fmt.Fprintf(&b, "%s [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, "+
			`client: 10.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://10.0.1.9:8080/", host: "app"`+"\n",
			time.Unix(0, f.Time).UTC().Format("2006/01/02 15:04:05"))
	}
	if err := os.WriteFile(log, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	x := watchFake(t, src, nil, "--format", "json", "--log", log)
	var r struct {
		Log struct {
			Explained int
			Outside   int `json:"outside_capture"`
		}
	}
	if err := json.Unmarshal([]byte(x.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Log.Explained != 1 || r.Log.Outside != 1 || !strings.Contains(x.stderr, " are only counted: --log is compared with those from then on") {
		t.Errorf("%+v\n%s", r.Log, x.stderr)
	}
}

// A log's entries of the time that was watched are not outside of it for want of packets:
// none goes to a unix socket.
func TestWatchLogWithoutPackets(t *testing.T) {
	log := filepath.Join(t.TempDir(), "error.log")
	now := time.Now().UTC()
	var b strings.Builder
	for _, at := range []time.Time{now, now.Add(-time.Hour)} {
		fmt.Fprintf(&b, "%s [error] 7#7: *1 connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream, "+
			`client: 10.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://unix:/run/app.sock:/", host: "app"`+"\n", at.Format("2006/01/02 15:04:05"))
	}
	if err := os.WriteFile(log, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	x := watchFake(t, &fakeSource{idle: 3, stop: make(chan struct{}, 1)}, nil, "--format", "json", "--log", log)
	var r struct {
		Log struct {
			Failed      int
			Outside     int `json:"outside_capture"`
			Unexplained []struct{ Why string }
		}
	}
	if err := json.Unmarshal([]byte(x.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if l := r.Log; l.Failed != 2 || l.Outside != 1 || len(l.Unexplained) != 1 || !strings.Contains(l.Unexplained[0].Why, "unix socket was full") {
		t.Errorf("%+v\n%s", l, x.stderr)
	}
}

// An end that nobody asked for is told of, in the exit code, too.
func TestWatchInterfaceGone(t *testing.T) {
	src := newFakeSource(t, "crowder")
	src.end = errors.New("fake0: the interface is gone")
	x := watchFake(t, src, nil)
	ls := clitest.Lines(t, x.stdout)
	last := ls[len(ls)-1]
	if x.code != cli.ExitError || last.Type != "summary" || len(clitest.Of(ls, "finding")) != 1 || !strings.HasSuffix(last.Captures[0].Warnings[0], "fake0: the interface is gone") {
		t.Errorf("exit %d, %+v", x.code, last)
	}
}

// Where nothing matches --target, that is said long before the end, with who listens.
func TestWatchUnseen(t *testing.T) {
	const want = "connrace: warning: no packet of --target has come so far; these listeners were seen: 10.0.0.1:8080\n"
	for target, times := range map[string]int{"10.0.0.1:8081": 2, "10.1.246.132:5005": 0} {
		x := watchFake(t, newFakeSource(t, "crowder"), func(w *watch) {
			now := time.Now()
			w.Listeners.Add(tcpstate.EndpointFrom(netip.MustParseAddrPort("10.0.0.1:8080")), 0)
			w.second(now.Add(unseenAfter / 2))
			if times == 0 {
				w.run()
			}
			w.second(now.Add(unseenAfter + time.Second))
			w.second(now.Add(unseenAfter + 2*time.Second))
			w.second(now.Add(unseenEvery + unseenAfter + 2*time.Second))
		}, "--target", target)
		if strings.Count(x.stderr, want) != times || strings.Count(x.stderr, "\n") != times {
			t.Errorf("%s: %s", target, x.stderr)
		}
	}
}
