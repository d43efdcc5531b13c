package recorder

import (
	"errors"
	"testing"
	"time"
)

// A disk that hangs keeps nobody waiting for long, and once only; all that was taken is
// written at the end.
func TestQueue(t *testing.T) {
	dir := t.TempDir()
	q := &Queue{store: open(t, dir, Limit{}), room: 1000, jobs: make(chan job, maxWaiting), moved: make(chan struct{}, 1), ended: make(chan struct{})}
	put := func(id, n int) error { _, err := q.Put(id, "rule-0", make([]byte, n)); return err }
	begin := time.Now()
	for id := range 10 {
		if err := put(id, 100); err != nil {
			t.Fatal(err)
		}
	}
	if time.Since(begin) > patience {
		t.Error("waited although there was room")
	}
	begin = time.Now()
	for range 1000 {
		if err := put(10, 100); !errors.Is(err, ErrSlow) {
			t.Fatal(err)
		}
	}
	if d := time.Since(begin); d < patience || d > 10*patience {
		t.Errorf("waited for %v", d)
	}
	if w := q.Written(); len(w) > 0 {
		t.Errorf("written: %v", w)
	}
	go q.run()
	for put(11, 100) != nil {
		time.Sleep(time.Millisecond)
	}
	q.Close()
	ws := q.Written()
	for i, w := range ws {
		if w.Err != nil || i < 10 && w.ID != i {
			t.Errorf("%+v", w)
		}
	}
	if len(ws) != 11 || len(names(t, dir)) != 11 || q.waiting != 0 {
		t.Errorf("%d written, %d files", len(ws), len(names(t, dir)))
	}
}
