package otlp

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Findings go to the collector that was named, wherever that would send them.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var elsewhere atomic.Int32
			thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			defer thief.Close()
			var asked atomic.Int32
			named := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(w, r, thief.URL+r.URL.Path, status)
			}))
			defer named.Close()
			x := start(t, Options{LogsEvery: time.Millisecond, MetricsEvery: time.Millisecond}, named.URL)
			x.Finding(nil, crossing())
			for end := time.Now().Add(10 * time.Second); asked.Load() < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			x.Close(ctx)
			if asked.Load() < 2 || elsewhere.Load() != 0 || x.Lost() != 1 {
				t.Errorf("asked %d times, %d requests went elsewhere, %d lost", asked.Load(), elsewhere.Load(), x.Lost())
			}
			if s := x.Complaint(time.Now().Add(time.Hour)); !strings.Contains(s, fmt.Sprintf("answered %d, a redirect, which is not followed", status)) {
				t.Errorf("complains %q", s)
			}
		})
	}
}
