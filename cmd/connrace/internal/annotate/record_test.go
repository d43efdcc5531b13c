package annotate

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/pcaps"
)

// A record has the packets that it is given, and comments on the evidence among them.
func TestRecord(t *testing.T) {
	data := script(t, "crowder", pcaps.FileFormat{Nano: true})
	r := analyse(t, data)
	a := &r.Analyses[0]
	f := a.Result.Findings[0]
	all, _ := frames(t, data)
	for i := range all {
		all[i].Interface, all[i].Direction = uint32(i%2), capture.Direction(i%3)
	}
	write := func(x Record) (string, map[uint64]uint64) {
		x.Analysis, x.Finding, x.Source = a, f, "eth0"
		x.Name = func(i uint32) string { return [...]string{"eth0", "lo"}[i] }
		var b bytes.Buffer
		numbers, err := x.Write(&b)
		if err != nil {
			t.Fatal(err)
		}
		return b.String(), numbers
	}

	text, numbers := write(Record{Frames: all})
	got, comments := frames(t, []byte(text))
	maps.DeleteFunc(comments, func(_ uint64, n int) bool { return n == 0 })
	if len(got) != len(all) || len(comments) != len(f.Evidence) {
		t.Fatalf("%d frames, %d with comments", len(got), len(comments))
	}
	for i := range f.Evidence {
		if e := &f.Evidence[i]; numbers[e.Frame] != e.Frame || comments[e.Frame] != 1 {
			t.Errorf("frame %d: number %d, %d comments", e.Frame, numbers[e.Frame], comments[e.Frame])
		}
	}
	for _, want := range []string{
		"connrace finding #1: fin-request-crossing (error, certain): ", "cause: ", "fix: ", "from eth0, whose frame numbers these are: tcp.stream eq 0",
		"; frame 285 of eth0", "eth0", "lo",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "no longer in memory") {
		t.Error("says that something is missing")
	}

	first := f.Evidence[1].Frame
	text, numbers = write(Record{Frames: all[first-1:], Oldest: first, Snaplen: 60})
	got, _ = frames(t, []byte(text))
	if len(got) != len(all)-int(first)+1 || len(got[0].Data) > 60 || got[0].Length != all[first-1].Length || numbers[first] != 1 {
		t.Errorf("%d frames, the first has %d octets, number %d", len(got), len(got[0].Data), numbers[first])
	}
	if want := "what came before frame 288 was no longer in memory, 1 segment of the evidence among it"; !strings.Contains(text, want) {
		t.Errorf("does not say %q", want)
	}

	x := Record{Analysis: a, Finding: f, Frames: all, Name: func(uint32) string { return "" }}
	for n := range 3 {
		if _, err := x.Write(&stuck{n}); !errors.Is(err, errStuck) {
			t.Errorf("after %d writes: %v", n, err)
		}
	}
}

var errStuck = errors.New("stuck")

// stuck fails after so many writes.
type stuck struct{ n int }

func (s *stuck) Write(p []byte) (int, error) {
	if s.n--; s.n < 0 {
		return 0, errStuck
	}
	return len(p), nil
}
