package text

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
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
	if got := ASCII("/名\x1b"); got != `/\u540d\x1b` {
		t.Errorf("ascii: %q", got)
	}
}

func TestSimple(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c < 0x7f && c != '"' && c != '\\'
		for at := range 20 {
			s := strings.Repeat("~ ", 10)
			if got := Simple(s[:at] + string([]byte{byte(c)}) + s[at:]); got != want {
				t.Errorf("%#x at %d: %v", c, at, got)
			}
		}
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
		for _, l := range Wrap(c, 10, " /") {
			if n := Width(l); n > 10 {
				t.Errorf("wrap(%q): %q has %d columns", c, l, n)
			}
		}
	})
}

func TestPath(t *testing.T) {
	for _, tt := range []struct{ in, short, long string }{
		{"/a?b=c", "/a", "/a?b=c"},
		{"/a#b?c", "/a", "/a#b?c"},
		{"/a%3Fb", "/a", "/a%3Fb"},
		{"http://user:pass@host/a?b", "http://host/a", "http://host/a?b"},
		{"http://host/a@b?c", "http://host/a@b", "http://host/a@b?c"},
		{"http://u@h?x", "http://h", "http://h?x"},
		{"/go?to=http://u:p@h/", "/go", "/go?to=http://h/"},
		{"*", "*", "*"},
		{"", "", ""},
	} {
		if got := Path(tt.in, false); got != tt.short {
			t.Errorf("path(%q, false) = %q, want %q", tt.in, got, tt.short)
		}
		if got := Path(tt.in, true); got != tt.long {
			t.Errorf("path(%q, true) = %q, want %q", tt.in, got, tt.long)
		}
	}
}

func TestSpan(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 µs", 212e3: "212 µs", 31195136: "31.2 ms", 1e6: "1 ms", 5001874000: "5 s", 1250e6: "1.25 s", 59998130123: "60 s", 350e9: "350 s",
		3600e9: "60 min", 1<<63 - 1: "2562048 h",
	} {
		if got := Span(ns); got != want {
			t.Errorf("span(%d) = %s, want %s", ns, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
	if got := Plural(1, "frame") + Plural(2000, "frame"); got != "1 frame2,000 frames" {
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
		if got := Wrap(tt.in, tt.n, tt.breaks); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func TestShort(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 µs", 999: "1 µs", 20_700_000: "20.7 ms", 999_400: "999 µs", 999_600: "1 ms", 999_600_000: "1 s", 2_000_351_000: "2 s",
		5_001_874_000: "5 s", 60e9: "60 s", 350e9: "350 s", 3600e9: "60 min", 7200e9: "2 h", -1_500_000: "-1.5 ms",
	} {
		if got := strings.ReplaceAll(Short(ns), "\u00a0", " "); got != want {
			t.Errorf("%d: %q, want %q", ns, got, want)
		}
	}
}

func TestAtPath(t *testing.T) {
	_, missing := os.Open("testdata/missing")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{missing, "f: no such file or directory"},
		{fmt.Errorf("opening: %w", missing), "f: no such file or directory"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: fs.ErrPermission}, "f: permission denied"},
		{errors.New("f: frame 3: cut off"), "f: frame 3: cut off"},
		{errors.New("cut off"), "f: cut off"},
	} {
		if got := AtPath("f", tt.err); got == nil || got.Error() != tt.want {
			t.Errorf("AtPath(%v) = %v, want %s", tt.err, got, tt.want)
		}
	}
	if !errors.Is(AtPath("f", missing), fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	if AtPath("f", nil) != nil {
		t.Error("an error out of none")
	}
}
