package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

// Comments as ptcpdump writes them: one for each kind of thing.
// The secrets are made up.
var ptcpdumps = []string{
	"PID: 4711\nCmd: /usr/bin/uwsgi\nArgs: uwsgi --ini app.ini --password hunter2\nContainerId: forged",
	"ParentPID: 1\nParentCmd: /sbin/init\nParentArgs: init swordfish",
	"ContainerName: api\nContainerId: 7f9e1d2c3b4a59687766554433221100\nContainerImage: api:3\nContainerLabels: {\"token\":\"hunter3\"}",
	"PodName: api-7f9\nPodNamespace: shop\nPodUID: 0c1d2e3f\nPodLabels: {}\nPodAnnotations: {\"key\":\"hunter4\"}",
}

// remarked is the capture of crowder, of which each packet has comments and a direction.
func remarked(t *testing.T, iface string, about func(fromTarget bool, frame int) (comments []string, flags uint32)) []byte {
	t.Helper()
	data, err := pcaps.File("crowder.pcap")
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile("crowder.pcap", bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, capture.Section{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]capture.Frame, 64)
	decoder := capture.NewDecoder()
	begun := false
	for {
		n, err := in.Read(batch)
		if err == io.EOF {
			return b.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range batch[:n] {
			f := &batch[i]
			if !begun {
				begun = true
				if _, err := w.AddInterface(capture.Interface{LinkType: f.LinkType, Name: iface, Resolution: 9}); err != nil {
					t.Fatal(err)
				}
			}
			segs := decoder.Decode(f, nil)
			comments, flags := about(len(segs) > 0 && segs[0].Src.Port == 5005, int(f.Number))
			if err := w.Packet(&capture.Packet{Time: f.Time, Data: f.Data, Length: f.Length, Comments: comments, Flags: flags}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// onTarget are ptcpdump's remarks on the target's host: it receives what the LB sends.
func onTarget(fromTarget bool, _ int) ([]string, uint32) {
	if fromTarget {
		return ptcpdumps, 2
	}
	return ptcpdumps, 1
}

// Comments on packets are shown with the evidence in every format, and where they are ptcpdump's
// the process is named; no argument of a command line, label or annotation is shown.
func TestRemarks(t *testing.T) {
	dir := t.TempDir()
	file, page := filepath.Join(dir, "a.pcapng"), filepath.Join(dir, "a.html")
	if err := os.WriteFile(file, remarked(t, "eth0", onTarget), 0o600); err != nil {
		t.Fatal(err)
	}
	report, line := clitest.Schemas(t)
	const process = "the capture's comments name process 4711 (uwsgi, container 7f9e1d2c3b4a of pod 0c1d2e3f)"
	for _, format := range []string{"table", "markdown", "csv", "json", "jsonl", "html"} {
		args := []string{"--format", format, file}
		if format == "html" {
			args = []string{"--html", page, file}
		}
		code, out, stderr := after(t, t.Context(), nil, args...)
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", format, code, stderr)
		}
		switch format {
		case "html":
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			out = string(b)
		case "csv":
			rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if at := slices.Index(rows[0], "comments"); at < 0 || !strings.Contains(rows[1][at], ": PID: 4711; Cmd: /usr/bin/uwsgi") {
				t.Errorf("csv: %v", rows)
			}
		case "json":
			clitest.Validate(t, report, "json", []byte(out))
			process, evidence := remarksIn(t, []byte(out))
			if process["pid"] != 4711.0 || process["name"] != "uwsgi" || process["command"] != "/usr/bin/uwsgi" || process["basis"] != "comment" ||
				process["container"] != "7f9e1d2c3b4a59687766554433221100" || process["pod"] != "0c1d2e3f" || process["exit"] != nil {
				t.Errorf("json: process %v", process)
			}
			for _, e := range evidence {
				if c, _ := e["comment"].(string); !strings.HasPrefix(c, "PID: 4711; Cmd: /usr/bin/uwsgi; ") || !strings.Contains(c, "PodName: api-7f9; PodNamespace: shop") {
					t.Errorf("json: comment %q", c)
				}
			}
		case "jsonl":
			for l := range strings.Lines(out) {
				clitest.Validate(t, line, "jsonl", []byte(l))
			}
		}
		flat := strings.Join(strings.Fields(strings.NewReplacer("&#39;", "'", `\[`, "[", `\_`, "_", "\u00a0", " ").Replace(out)), " ")
		for _, want := range []string{"PID: 4711; Cmd: /usr/bin/uwsgi", process} {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: no %q in\n%s", format, want, out)
			}
		}
		for _, secret := range []string{"hunter2", "hunter3", "hunter4", "swordfish", "forged"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s shows %q", format, secret)
			}
		}
	}
}

// remarksIn are the process and the evidence of the only finding of a report.
func remarksIn(t *testing.T, report []byte) (process map[string]any, evidence []map[string]any) {
	t.Helper()
	var doc struct {
		Findings []struct {
			Process  map[string]any
			Evidence []map[string]any
		}
	}
	if err := json.Unmarshal(report, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Findings) != 1 || len(doc.Findings[0].Evidence) == 0 {
		t.Fatalf("%d findings", len(doc.Findings))
	}
	return doc.Findings[0].Process, doc.Findings[0].Evidence
}

// A process is named only where it is sure whose it is.
func TestWhoseRemarks(t *testing.T) {
	pid := func(n int) []string { return []string{fmt.Sprintf("PID: %d\nCmd: /usr/bin/x\nArgs: x", n)} }
	for _, c := range []struct {
		name, iface string
		about       func(fromTarget bool, frame int) ([]string, uint32)
		want        any // pid
	}{
		{"on the target's host", "ens5", onTarget, 4711.0},
		{"on the load balancer's host", "eth0", func(fromTarget bool, _ int) ([]string, uint32) {
			if fromTarget {
				return ptcpdumps, 1
			}
			return ptcpdumps, 2
		}, nil},
		{"both on one host", "lo", func(fromTarget bool, frame int) ([]string, uint32) { // each is received, and was sent before
			if fromTarget {
				return pid(7), 2
			}
			return pid(8), 2
		}, 7.0},
		{"one process for both ends", "lo", func(bool, int) ([]string, uint32) { return pid(7), 2 }, nil},
		{"which way is not said", "eth0", func(bool, int) ([]string, uint32) { return pid(7), 0 }, nil},
		{"on the way to a container", "veth12", onTarget, nil},
		{"on the way to a container of AWS", "eni0a1b2c3d4e5", onTarget, nil},
		{"on the way to a container of Azure", "azv0a1b2c3d4e5", onTarget, nil},
		{"on the way to a container of GKE", "gke0a1b2c3d4e5", onTarget, nil},
		{"on the way to a container of who knows", "pod7", onTarget, nil},
		{"on a name that goes on", "loop0", onTarget, nil},
		{"on all interfaces", "any", onTarget, nil},
		{"on a network card's port", "enp3s0f1np1", onTarget, 4711.0},
		{"on a card with its address", "enx0a1b2c3d4e5f", onTarget, 4711.0},
		{"on a VLAN", "bond0.12", onTarget, 4711.0},
		{"an interface without a name", "", onTarget, nil},
		{"two processes", "eth0", func(fromTarget bool, frame int) ([]string, uint32) {
			c, way := onTarget(fromTarget, frame)
			if frame == 285 {
				c = pid(9)
			}
			return c, way
		}, nil},
		{"somebody's words", "eth0", func(fromTarget bool, frame int) ([]string, uint32) {
			_, way := onTarget(fromTarget, frame)
			return []string{"look here, PID: 7"}, way
		}, nil},
	} {
		code, out, stderr := after(t, t.Context(), remarkedFile(t, remarked(t, c.iface, c.about)), "--format", "json", "-")
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", c.name, code, stderr)
		}
		process, evidence := remarksIn(t, []byte(out))
		if process["pid"] != c.want {
			t.Errorf("%s: process %v, want %v", c.name, process["pid"], c.want)
		}
		if evidence[0]["comment"] == nil {
			t.Errorf("%s: no comment", c.name)
		}
	}
}

// remarkedFile is a file as standard input.
func remarkedFile(t *testing.T, data []byte) *os.File {
	t.Helper()
	h, err := os.Create(filepath.Join(t.TempDir(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if _, err := h.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return h
}

// Comments of any size and with anything in them do no harm, and what is left out is said; those
// of an earlier run are not said again.
func TestHostileRemarks(t *testing.T) {
	for name, c := range map[string]struct {
		comments []string
		want     string // in the evidence; "": nothing
		warn     bool
	}{
		"escape":    {[]string{"\x1b[2J\x9b\u202e</script>|\x00"}, `\x1b[2J\x9b\u202e</script>|\x00`, false},
		"long":      {[]string{strings.Repeat("é", 30_000)}, strings.Repeat("é", 499), true},
		"many":      {strings.Split(strings.TrimSpace(strings.Repeat("x ", 100)), " "), "x; x", true},
		"empty":     {[]string{""}, "", false},
		"own":       {[]string{"connrace fin-request-crossing #1 (certain): request"}, "", false},
		"two lines": {[]string{"one\r\n\r\n two"}, "one; two", false},
		"noted":     {[]string{"note\nPID: 1\nArgs: --password=hunter2"}, "note; PID: 1", false},
	} {
		data := remarked(t, "eth0", func(bool, int) ([]string, uint32) { return c.comments, 1 })
		code, out, stderr := after(t, t.Context(), remarkedFile(t, data), "--format", "json", "-")
		if code != cli.ExitOK || (stderr != "") != c.warn || c.warn && !strings.Contains(stderr, "comments on packets of the evidence") {
			t.Fatalf("%s: exit %d, %s", name, code, stderr)
		}
		_, evidence := remarksIn(t, []byte(out))
		got, _ := evidence[0]["comment"].(string)
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") || len(got) > 1010 || strings.Contains(got, "hunter2") {
			t.Errorf("%s: comment %.80q of %d octets, want %.80q", name, got, len(got), c.want)
		}
		if x, bad := unprintable([]byte(out)); bad {
			t.Errorf("%s: %s", name, x)
		}
	}
}

// Comments in a stream, which is read once, are shown as those in a file are; also where the stream
// is given up.
func TestRemarksOfStream(t *testing.T) {
	data := remarked(t, "eth0", onTarget)
	file := filepath.Join(t.TempDir(), "a.pcapng")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, want, _ := after(t, t.Context(), nil, "--format", "csv", file)
	code, out, stderr := after(t, t.Context(), struct{ io.Reader }{bytes.NewReader(data)}, "--format", "csv", "-")
	if code != cli.ExitOK || stderr != "" || !strings.Contains(out, "4711") || strings.ReplaceAll(out, ",'-,", ","+file+",") != want {
		t.Errorf("exit %d, %s\n%s\nwant\n%s", code, stderr, out, want)
	}
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		w.Write(data[:len(data)-5])
		w.Write(nil)
		cancel()
	}()
	if code, out, _ := after(t, ctx, r, "-"); code != cli.ExitInterrupted || !strings.Contains(out, "4711") {
		t.Errorf("interrupted: exit %d\n%s", code, out)
	}
}

// Of a stream with more kinds of comments than there is room for it is said that some are not shown.
func TestRemarksOfLongStream(t *testing.T) {
	n := 0
	data := remarked(t, "eth0", func(bool, int) ([]string, uint32) {
		n++
		var cs []string
		for i := range 40 {
			cs = append(cs, fmt.Sprint(n, i)+strings.Repeat("x", 60_000))
		}
		return cs, 1
	})
	code, _, stderr := after(t, t.Context(), struct{ io.Reader }{bytes.NewReader(data)}, "-")
	if code != cli.ExitOK || !strings.Contains(stderr, "comments on packets of the evidence: not shown, or not whole") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
