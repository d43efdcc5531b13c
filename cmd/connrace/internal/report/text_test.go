package report

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"connrace/detect"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		`/a/b?c="d"&e=\n`:            `/a/b?c="d"&e=\n`,
		"grün – 名前":                  "grün – 名前",
		"\x1b[31mred\x1b[0m":         `\x1b[31mred\x1b[0m`,
		"a\r\nb\tc\x00":              `a\r\nb\tc\x00`,
		"bad \xff\xc3( utf-8 \xe2":   `bad \xff\xc3( utf-8 \xe2`,
		"c1 \u0085\u009b31m":         `c1 \u0085\u009b31m`,
		"right \u202e to left":       `right \u202e to left`,
		"zero\u200bwidth\ufeff":      `zero\u200bwidth\ufeff`,
		"replaced \ufffd":            "replaced \ufffd",
		"del\x7f private \U000f0000": `del\x7f private \U000f0000`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := ascii("/名\x1b"); got != `/\u540d\x1b` {
		t.Errorf("ascii: %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("/a\x1b\xff\u202e")
	f.Add(`"\"<&>` + "\u2028\\")
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		if !utf8.ValidString(c) || strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
			t.Errorf("Clean(%q) = %q", s, c)
		}
		if again := Clean(c); again != c {
			t.Errorf("Clean twice: %q, then %q", c, again)
		}
		var read string
		if b, err := json.Marshal(optional(s)); err != nil || json.Unmarshal(b, &read) != nil || read != c {
			t.Errorf("%q as JSON: %s, %v", c, b, err)
		}
		for _, l := range wrap(c, 10, " /") {
			if n := columns(l); n > 10 {
				t.Errorf("wrap(%q): %q has %d columns", c, l, n)
			}
		}
	})
}

func TestPath(t *testing.T) {
	for _, tt := range []struct{ in, short, long string }{
		{"/a?b=c", "/a", "/a?b=c"},
		{"/a#b?c", "/a", "/a#b?c"},
		{"/a%3Fb", "/a%3Fb", "/a%3Fb"},
		{"http://user:pass@host/a?b", "http://host/a", "http://host/a?b"},
		{"http://host/a@b?c", "http://host/a@b", "http://host/a@b?c"},
		{"http://u@h?x", "http://h", "http://h?x"},
		{"/go?to=http://u:p@h/", "/go", "/go?to=http://u:p@h/"},
		{"*", "*", "*"},
		{"", "", ""},
	} {
		if got := path(tt.in, false); got != tt.short {
			t.Errorf("path(%q, false) = %q, want %q", tt.in, got, tt.short)
		}
		if got := path(tt.in, true); got != tt.long {
			t.Errorf("path(%q, true) = %q, want %q", tt.in, got, tt.long)
		}
	}
}

func TestSeconds(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0", 1: "0.000000001", 5001874000: "5.001874", 60e9: "60", 100e6: "0.1", -1500e6: "-1.5", 1<<63 - 1: "9223372036.854775807",
		-1 << 63: "-9223372036.854775808",
	} {
		b, err := json.Marshal(seconds{NS: ns, Known: true})
		if err != nil || string(b) != want {
			t.Errorf("%d ns: %s, %v, want %s", ns, b, err, want)
		}
	}
	if b, _ := json.Marshal(seconds(detect.Duration{})); string(b) != "null" {
		t.Errorf("unknown: %s", b)
	}
}

func TestSpan(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 µs", 212e3: "212 µs", 31195136: "31.2 ms", 1e6: "1 ms", 5001874000: "5.001874 s", 59998130123: "59.99813 s", 350e9: "350 s",
		3600e9: "3600 s", 1<<63 - 1: "9223372036 s",
	} {
		if got := span(ns); got != want {
			t.Errorf("span(%d) = %s, want %s", ns, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
	if got := plural(1, "frame") + plural(2000, "frame"); got != "1 frame2,000 frames" {
		t.Error(got)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		in     string
		n      int
		breaks string
		want   []string
	}{
		{"", 5, " ", nil},
		{"one", 5, " ", []string{"one"}},
		{"one two", 7, " ", []string{"one two"}},
		{"one two", 6, " ", []string{"one", "two"}},
		{"one two", 3, " ", []string{"one", "two"}},
		{"abcdefgh", 3, " ", []string{"abc", "def", "gh"}},
		{"fin-request-crossing", 12, " -", []string{"fin-request-", "crossing"}},
		{"10.0.0.2:41000", 10, ":", []string{"10.0.0.2:", "41000"}},
		{"名前名前", 5, " ", []string{"名前", "名前"}},
		{"a  b", 1, " ", []string{"a", "b"}},
	} {
		if got := wrap(tt.in, tt.n, tt.breaks); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}
