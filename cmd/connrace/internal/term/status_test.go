package term

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// Where there is no terminal, a line is written when a minute has passed and something is new.
func TestStatusInLog(t *testing.T) {
	var b bytes.Buffer
	s := NewStatus(&b, false)
	say := func(findings uint64) { s.Text("eth0: 12 packets/s", "eth0: "+SoFar(findings, 1, 0)) }
	say(0)
	if b.Len() > 0 {
		t.Errorf("at once: %s", &b)
	}
	for _, n := range []uint64{1, 1, 1} {
		s.at = s.at.Add(-statusEvery)
		say(n)
	}
	s.at = time.Now()
	say(2)
	s.Clear()
	if want := "connrace: eth0: 1 finding, 1 failed try so far; Ctrl-C for the report\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
	b.Reset()
	quiet := NewStatus(&b, true)
	quiet.at = time.Time{}
	if quiet.Text("x", "x"); b.Len() > 0 {
		t.Errorf("with --quiet: %s", &b)
	}
}

// A file whose end is known is read without a word where there is no terminal.
func TestProgressInLog(t *testing.T) {
	Progress(io.Discard, false, "a.pcap", func() (int64, int64) { return 1, 10 }, nil)()
	var b strings.Builder
	Progress(&b, false, "-", func() (int64, int64) { return 1, -1 }, func() string { return SoFar(1, 0, 0) })()
	if b.Len() > 0 {
		t.Errorf("within a second: %s", b.String())
	}
}

// A target that answers 5xx is no healthy one, whatever its connections do.
func TestSoFar(t *testing.T) {
	for want, got := range map[string]string{
		"2 findings, 1 failed try so far; Ctrl-C for the report":                   SoFar(2, 1, 0),
		"0 findings, 0 failed tries, 18 answers 5xx so far; Ctrl-C for the report": SoFar(0, 0, 18),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestColored(t *testing.T) {
	for _, tt := range []struct {
		when, none, force string
		want              bool
	}{
		{"auto", "", "", false},
		{"always", "", "", true},
		{"always", "1", "", true},
		{"never", "", "1", false},
		{"auto", "", "1", true},
		{"auto", "", "0", false},
		{"auto", "1", "1", false},
	} {
		t.Setenv("NO_COLOR", tt.none)
		t.Setenv("CLICOLOR_FORCE", tt.force)
		if got := Colored(io.Discard, tt.when); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
