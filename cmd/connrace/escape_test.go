package main

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

// evil are texts that mean something to a terminal, a spreadsheet, HTML, Markdown, Lua,
// fmt or Prometheus if they come there as they are.
var evil = []string{
	"\x1b]0;owned\a\x1b[31m",
	"\x9b31m\xff\xc0\x80",
	"\u202egnp.exe\u2066\u200f\u2028\ufeff",
	"<img/src=x/onerror=alert(1)>",
	"</script><script>alert(2)</script>",
	"\"><svg/onload=alert(3)>'",
	"=cmd|'/C/calc'!A0",
	"|x|`y`|[z](javascript:alert(4))|",
	"\b\b\b\b\x00\x7f\u0085\t\v",
	"]]..os.exit()..[[%s%n%!d(x)",
	"\\\"},{\"id\":7,\"",
	"{{7*7}}${jndi:ldap://x}\\n",
}

// evilCapture is the race of crowder with such texts in the request, in the comments of the
// capture and of its packets, in its interface's name and in the names of its hosts.
func evilCapture(t *testing.T, text string) []byte {
	t.Helper()
	s, err := pcaps.Load("crowder")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{NG: true}); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	// In place, so that no length changes.
	swap := func(old, head string) {
		new := head + strings.Repeat(text, len(old)/len(text)+1)
		at := bytes.LastIndex(data, []byte(old))
		if at < 0 {
			t.Fatalf("no %q", old)
		}
		copy(data[at:], new[:len(old)])
	}
	swap("/requirements/17a02-0123456789abcdef0123456789abcdef0123456789abcdef", "/")
	swap("Root=1-5c4ba400-000000000000000000000120\r\nuser-agent: poller", "Root=\r\nX-Request-Id: ")
	swap("198.51.100.7", "")

	option := func(code uint16, v string) string {
		o := binary.LittleEndian.AppendUint16(nil, code)
		o = binary.LittleEndian.AppendUint16(o, uint16(len(v)))
		return string(o) + v + strings.Repeat("\x00", -len(v)&3)
	}
	head := block(0x0a0d0d0a, "\x4d\x3c\x2b\x1a\x01\x00\x00\x00"+strings.Repeat("\xff", 8)+option(1, text)+option(2, text)+option(4, text)+option(0, "")) +
		block(1, "\x01\x00\x00\x00\x00\x00\x04\x00"+option(2, text)+option(3, text)+option(11, "\x00"+text)+option(0, "")) +
		block(4, option(1, "\x0a\x01\xf6\x84"+text+"\x00")+option(0, ""))
	// What the corpus wrote begins with a section and an interface too.
	rest := data
	for range 2 {
		rest = rest[binary.LittleEndian.Uint32(rest[4:]):]
	}
	out := []byte(head)
	for len(rest) > 0 { // each packet with a comment
		b := rest[:binary.LittleEndian.Uint32(rest[4:])]
		if rest = rest[len(b):]; binary.LittleEndian.Uint32(b) != 6 {
			out = append(out, b...)
			continue
		}
		end := 28 + (binary.LittleEndian.Uint32(b[20:])+3)&^3
		out = append(out, block(6, string(b[8:end])+option(1, text)+option(0, ""))...)
	}
	return out
}

// unprintable is the first character that a terminal should not see.
func unprintable(b []byte) (string, bool) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r != '\n' && !unicode.IsPrint(r) {
			return fmt.Sprintf("%q at %d in %q", b[i:i+n], i, b[max(i-40, 0):min(i+40, len(b))]), true
		}
		i += n
	}
	return "", false
}

// TestEscape: nothing of a capture, of its name, of a log or of an earlier report comes
// out as something that is obeyed.
func TestEscape(t *testing.T) {
	for i, text := range evil {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			name := "x.pcapng"
			if runtime.GOOS != "windows" {
				name = strings.NewReplacer("/", "_", "\x00", "").Replace(text) + name
			}
			capture := filepath.Join(dir, name)
			log := filepath.Join(dir, strings.TrimSuffix(name, ".pcapng")+".log")
			baseline := filepath.Join(dir, "b.json")
			quoted, _ := json.Marshal(text)
			for path, data := range map[string][]byte{
				capture: evilCapture(t, text),
				log: fmt.Appendf(nil, "2019/01/26 00:00:15 [error] 7#7: *1 upstream prematurely closed connection while reading response header from upstream, "+
					"client: %[1]s, server: %[1]s, request: \"GET /%[1]s HTTP/1.1\", upstream: \"http://10.1.246.132:5005/%[1]s\", host: \"%[1]s\"\n"+
					"2019/01/26 00:00:09 [error] 7#7: *2 no live upstreams while connecting to upstream, client: %[1]s, server: , request: \"%[1]s /%[1]s HTTP/1.1\", upstream: \"http://%[1]s/\"\n%[1]s\n", text),
				baseline: fmt.Appendf(nil, `{"schema":"connrace/1","captures":[{"path":%[1]s,"first":"2019-01-25T00:00:00Z","last":"2019-01-25T01:00:00Z"}],`+
					`"totals":{"requests":10,"lost_requests":1,"findings":{%[1]s:1}},"targets":[{"target":%[1]s,"requests":10,"lost_requests":1}],"findings":[]}`, quoted),
			} {
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Skip(err)
				}
			}
			page, copied, evidence := filepath.Join(dir, "p.html"), filepath.Join(dir, "c.pcapng"), filepath.Join(dir, "e")
			for _, format := range []string{"table", "markdown", "csv", "json", "jsonl"} {
				var out, errs bytes.Buffer
				args := []string{"-v", "--show-query", "--format", format, "--log", log, "--baseline", baseline, capture}
				want := 0
				if format != "table" {
					args, want = append(args, filepath.Join(dir, text+"missing")), 2
				} else {
					args = append(args, "--html", page, "--annotate", copied, "--evidence", evidence)
				}
				status := run(t.Context(), args, nil, &out, &errs)
				if status != want || !strings.Contains(out.String(), "fin-request-crossing") {
					t.Fatalf("status %d, %s\n%s", status, &errs, &out)
				}
				for _, b := range [][]byte{out.Bytes(), errs.Bytes()} {
					if format == "csv" {
						b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) // RFC 4180
					}
					if x, bad := unprintable(b); bad {
						t.Errorf("%s: %s", format, x)
					}
				}
				obeyed(t, format, out.Bytes())
				if format == "json" && strings.Contains(out.String(), `"entries":0,`) {
					t.Errorf("nothing of the log was read: %s", &out)
				}
			}
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			// Tabs, and spaces that do not break, are the page's own.
			if x, bad := unprintable([]byte(strings.NewReplacer("\t", "", "\u00a0", " ").Replace(string(b)))); bad {
				t.Errorf("html: %s", x)
			}
			obeyed(t, "html", b)
			commented := []string{copied}
			entries, _ := os.ReadDir(evidence)
			if len(entries) == 0 {
				t.Error("no evidence")
			}
			for _, e := range entries {
				commented = append(commented, filepath.Join(evidence, e.Name()))
				if x, bad := unprintable([]byte(e.Name())); bad {
					t.Errorf("name of a file: %s", x)
				}
			}
			for _, path := range commented {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				texts, err := clitest.Comments(b)
				if err != nil || len(texts) == 0 {
					t.Fatalf("%s: %d comments, %v", path, len(texts), err)
				}
				for _, c := range texts {
					if x, bad := unprintable([]byte(c.Text)); bad && c.Text != text { // the packet's own, which stays as it was
						t.Errorf("comment: %s", x)
					}
				}
			}
		})
	}
}

// obeyed looks for what the reader of a format would obey.
func obeyed(t *testing.T, format string, b []byte) {
	t.Helper()
	s := string(b)
	switch format {
	case "csv":
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			for _, cell := range r {
				if strings.IndexAny(cell, "=+-@\t\r") == 0 {
					t.Errorf("csv: a formula: %q", cell)
				}
			}
		}
	case "json":
		if !json.Valid(b) {
			t.Errorf("no JSON: %s", b)
		}
	case "jsonl":
		for l := range strings.Lines(s) {
			if !json.Valid([]byte(l)) {
				t.Errorf("no JSON: %s", l)
			}
		}
	case "html":
		for _, x := range []string{"<img/", "<svg/", "<script>alert", "</script><script", `href="javascript:`} {
			if at := strings.Index(s, x); at >= 0 {
				t.Errorf("html: %q in %q", x, s[max(at-80, 0):min(at+80, len(s))])
			}
		}
	case "markdown":
		s = bare(s)
		for _, x := range []string{"<img/", "<svg/", "<script>", "](javascript:", "|x|"} {
			if at := strings.Index(s, x); at >= 0 {
				t.Errorf("markdown: %q in %q", x, s[max(at-80, 0):min(at+80, len(s))])
			}
		}
	}
}

// bare is Markdown without what means nothing there: code spans and escaped characters.
func bare(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && unicode.In(rune(s[i+1]), unicode.Punct, unicode.Symbol):
			i++
		case s[i] == '`':
			fence := s[i : len(s)-len(strings.TrimLeft(s[i:], "`"))]
			i += len(fence) - 1
			for at := i + 1; at < len(s); {
				j := strings.IndexByte(s[at:], '`')
				if j < 0 {
					break
				}
				at += j
				end := len(s) - len(strings.TrimLeft(s[at:], "`"))
				if end-at == len(fence) {
					i = end - 1
					break
				}
				at = end
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
