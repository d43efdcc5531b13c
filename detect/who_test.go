package detect

import (
	"testing"

	"connrace/detect/internal/software"
)

// The Keep-Alive header against the close that follows names a server whose messages do not.
func TestLateCloseNames(t *testing.T) {
	after := func(ns, advertised int64) *timer {
		return &timer{Timeout: Timeout{NS: ns, Advertised: Duration{advertised, advertised != 0}}}
	}
	for _, tt := range []struct {
		name string
		own  *timer
		head software.Software
		want string
	}{
		{"Puma", after(5200*millisecond, 5*second), software.Software{}, "Puma"},
		{"Node.js", after(6*second, 5*second), software.Software{}, "Node.js"},
		{"neither", after(5500*millisecond, 5*second), software.Software{}, ""},
		{"nothing was announced", after(5200*millisecond, 0), software.Software{}, ""},
		{"no timer", nil, software.Software{}, ""},
		{"the head says more", after(5200*millisecond, 5*second), software.Software{Name: "Apache"}, "Apache"},
		{"it is another one", after(5200*millisecond, 5*second), software.Other, ""},
	} {
		x := newTarget(end(80), 1, false)
		x.tell().who.server.Add(tt.head)
		got := ""
		if s, lb := x.software(tt.own); s != nil {
			got = s.Name
		} else if lb != nil {
			t.Errorf("%s: an LB", tt.name)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
