package lblog

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestFiles(t *testing.T) {
	const line = "10.9.9.9:1 [20/Nov/2026:12:00:00.000] f b/s 0/0/0/-1/1 502 209 - - SH-- 1/1/0/0/0 0/0 \"GET /a HTTP/1.1\"\n"
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, line+line)
	w.Close()
	long := strings.Repeat("x", 3*maxLine)
	for _, c := range []struct {
		name, log string
		kind      Kind
		want      string
	}{
		{"plain", line, Unknown, "haproxy 1 1 1"},
		{"without its last newline, with CR", strings.TrimSpace(line) + "\r", Unknown, "haproxy 1 1 1"},
		{"gzip", z.String(), Unknown, "haproxy 2 2 2"},
		{"gzip, cut off", z.String()[:z.Len()-9], Unknown, "haproxy 2 2 2 read up to line 2 only: unexpected EOF"},
		{"empty", "", Unknown, " 0 0 0"},
		{"a long line between", line + long + "\n" + line, Unknown, "haproxy 3 2 2"},
		{"something before", "Proxy f started.\n" + line, HAProxy, "haproxy 2 1 1"},
		{"nginx's two logs in one", seeds[NginxError] + "\n" + seeds[IngressNginx] + "\n" + seeds[NginxAccess] + "\n" + seeds[HAProxy], Unknown, "nginx-error 4 3 3"},
		{"Apache's two logs in one", seeds[ApacheError] + "\n" + seeds[ApacheAccess] + "\n", Unknown, "apache-error 2 2 2"},
		{"one of nginx's logs only", seeds[NginxError] + "\n" + seeds[NginxAccess] + "\n", NginxError, "nginx-error 2 1 1"},
		{"no log", "hello\nworld\n", Unknown, "error: " + ErrUnrecognised.Error()},
		{"not that kind of log", line, ALB, "error: no line has the form of alb (ALB access log)"},
		{"gzip, damaged", "\x1f\x8bxxxxxxxxxxxxxxxx", Unknown, "error: gzip: invalid header"},
	} {
		j := NewJoiner(Capture{}, c.kind, time.UTC)
		var got string
		if err := j.Read(context.Background(), "x", strings.NewReader(c.log)); err != nil {
			got = "error: " + err.Error()
		} else {
			f := j.Finish().Files[0]
			got = strings.TrimSuffix(fmt.Sprintf("%s %d %d %d %s", f.Kind, f.Lines, f.Entries, f.Failed, f.Warning), " ")
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
