package cli

import (
	"net/netip"
	"testing"
	"time"

	"connrace/tcpstate"
)

func endpoint(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

func TestEndpoints(t *testing.T) {
	for _, tt := range []struct{ pattern, yes, no string }{
		{"10.0.0.5", "10.0.0.5:80", "10.0.0.6:80"},
		{"10.0.0.5:8080", "10.0.0.5:8080", "10.0.0.5:80"},
		{":8080", "10.0.0.5:8080", "10.0.0.5:80"},
		{":8080", "[2001:db8::1]:8080", "[2001:db8::1]:80"},
		{"10.0.0.0/24", "10.0.0.255:1", "10.0.1.0:1"},
		{"10.0.0.7/24:443", "10.0.0.1:443", "10.0.0.1:444"},
		{"2001:db8::1", "[2001:db8::1]:80", "[2001:db8::2]:80"},
		{"2001:db8::8080", "[2001:db8::8080]:1", "[2001:db8::]:8080"},
		{"[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::2]:80"},
		{"[2001:db8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]:80"},
		{"2001:db8::/32", "[2001:db8:1::1]:80", "[2001:db9::]:80"},
		{"2001:db8::/32:443", "[2001:db8:1::1]:443", "[2001:db8:1::1]:80"},
		{"[2001:db8::]/32:443", "[2001:db8:1::1]:443", "[2001:db8:1::1]:80"},
		{"[2001:db8::]/32", "[2001:db8:1::1]:443", "[2001:db9::1]:80"},
		{"::ffff:10.0.0.5", "10.0.0.5:80", "10.0.0.6:80"},
		{"::ffff:10.0.0.0/120", "10.0.0.5:80", "10.0.1.6:80"},
		{"fe80::1%eth0", "[fe80::1]:80", "[fe80::2]:80"},
		{"0.0.0.0/0", "10.0.0.5:80", "[2001:db8::1]:80"},
		{"::/0", "[2001:db8::1]:80", "10.0.0.5:80"},
		{"::1", "[::1]:80", "[::2]:80"},
	} {
		es := Endpoints{Ports: true}
		if err := es.Set(tt.pattern); err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		m := es.Matcher()
		if !m(endpoint(tt.yes)) {
			t.Errorf("%s does not match %s", tt.pattern, tt.yes)
		}
		if m(endpoint(tt.no)) {
			t.Errorf("%s matches %s", tt.pattern, tt.no)
		}
	}
	for _, s := range []string{
		"", ":", ":0", ":65536", ":http", "8080", "web", "web:80", "10.0.0.256", "10.0.0", "10.0.0.5:", "10.0.0.0/33", "10.0.0.0/24:x", "[", "[]", "[::1",
		"[::1]x", "[::1]:", "::/129", "2001:db8::1:443:1:1:1:1:1:1",
	} {
		es := Endpoints{Ports: true}
		if err := es.Set(s); err == nil {
			t.Errorf("%q is taken as %v", s, es.Patterns)
		}
	}
	es := Endpoints{}
	if es.Matcher() != nil {
		t.Error("matches without a pattern")
	}
	if es.Set("10.0.0.1:80") == nil || es.Set("10.0.0.0/8") != nil {
		t.Error("--lb takes a port, or no CIDR")
	}
}

func TestMoment(t *testing.T) {
	first := time.Date(2024, 3, 1, 13, 59, 50, 5e8, time.UTC).UnixNano()
	cet := time.FixedZone("CET", 3600)
	for _, tt := range []struct {
		in   string
		zone *time.Location
		want string
	}{
		{"2024-03-01T14:00:00Z", cet, "2024-03-01T14:00:00Z"},
		{"2024-03-01T14:00:00.25+02:00", cet, "2024-03-01T12:00:00.25Z"},
		{"2024-03-01 14:00:00", time.UTC, "2024-03-01T14:00:00Z"},
		{"2024-03-01 14:00:00.123456789", cet, "2024-03-01T13:00:00.123456789Z"},
		{"2024-03-01T14:00:00", cet, "2024-03-01T13:00:00Z"},
		{"2024-03-01 14:00", time.UTC, "2024-03-01T14:00:00Z"},
		{"2024-03-02", time.UTC, "2024-03-02T00:00:00Z"},
		{"14:00", time.UTC, "2024-03-01T14:00:00Z"},
		{"14:00:01.5", time.UTC, "2024-03-01T14:00:01.5Z"},
		{"14:00:01", cet, "2024-03-01T13:00:01Z"},
		{"+10s", time.UTC, "2024-03-01T14:00:00.5Z"},
		{"+1m30s", cet, "2024-03-01T14:01:20.5Z"},
		{"+0.25", time.UTC, "2024-03-01T13:59:50.75Z"},
		{"+2000000h", time.UTC, "2252-04-28T21:59:50.5Z"},
		{"+2500000h", time.UTC, "2262-04-11T23:47:16.854775807Z"}, // the ends of what ns can say
		{"9999-01-01", time.UTC, "2262-04-11T23:47:16.854775807Z"},
		{"0001-01-01", time.UTC, "1677-09-21T00:12:43.145224192Z"},
	} {
		var m Moment
		if err := m.Set(tt.in); err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		got := time.Unix(0, m.At(first, tt.zone)).UTC().Format(time.RFC3339Nano)
		if got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.in, tt.zone, got, tt.want)
		}
	}
	for _, s := range []string{"", "+", "+-1s", "-1s", "now", "25:00", "14", "2024-13-01", "1709301600"} {
		var m Moment
		if m.Set(s) == nil {
			t.Errorf("%q is taken as a time", s)
		}
	}
}

func TestSecondsFlag(t *testing.T) {
	for in, want := range map[string]time.Duration{"60": time.Minute, "60s": time.Minute, "1m": time.Minute, "0.5": time.Second / 2} {
		var d Seconds
		if err := d.Set(in); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", in, time.Duration(d), err)
		}
	}
	for _, in := range []string{"", "0", "-1s", "x", "NaN"} {
		var d Seconds
		if d.Set(in) == nil {
			t.Errorf("%q is taken as a duration", in)
		}
	}
}

func TestNearest(t *testing.T) {
	of := []string{"analyze", "explain", "version"}
	for in, want := range map[string]string{
		"anlyze": "analyze", "analyse": "analyze", "Explain": "explain", "ver": "version", "capture": "", "x": "", "": "",
	} {
		if got := Nearest(in, of); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance %d, want 3", d)
	}
}
