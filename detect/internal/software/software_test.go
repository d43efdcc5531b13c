package software

import (
	"strings"
	"testing"
)

// lines are a head's, written in one line.
func lines(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\r\n")) }

func TestOfAnswer(t *testing.T) {
	for _, tt := range []struct{ head, want string }{
		{"HTTP/1.1 200 OK|Server: gunicorn|Date: now|Connection: close||", "gunicorn"},
		{"HTTP/1.1 200 OK|Server: nginx/1.24.0 (Ubuntu)|Date: now||", "nginx"},
		{"HTTP/1.1 200 OK|Server: gunicornx||", ""},
		{"HTTP/1.1 200 OK|Server: gunicorn|Via: 1.1 proxy||", ""},
		{"HTTP/1.1 200 OK|Server: gunicorn|Date: now|", ""},
		{"GET / HTTP/1.1|Server: gunicorn||", ""},
	} {
		if got := OfAnswer(lines(tt.head)).Name; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.head, got, tt.want)
		}
	}
}

func TestOpinion(t *testing.T) {
	var o Opinion
	if o.Add(Software{}); o.Said() != nil {
		t.Error("named by nothing")
	}
	o.Add(Software{"nginx", "a"})
	o.Add(Software{"nginx", "b"})
	if s := o.Said(); s == nil || *s != (Software{"nginx", "a"}) {
		t.Errorf("%v", s)
	}
	o.Add(Software{"Go", "c"})
	o.Add(Software{"nginx", "d"})
	if s := o.Said(); s != nil {
		t.Errorf("%v of two that contradict each other", s)
	}
}
