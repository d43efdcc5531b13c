package dump

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a disk that takes what is written when it is told to.
type slow struct {
	file
	gate chan struct{}
}

func (s slow) WriteAt(b []byte, at int64) (int, error) {
	<-s.gate
	return s.file.WriteAt(b, at)
}

func TestQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	o := options(path)
	o.Size, o.Files = 3000, 3
	q, err := NewQueue(o, start)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		x := frame(i)
		if err := q.Frame(x); err != nil {
			t.Error(err)
		}
		clear(x.Data)
	}
	if err := q.Close(10, 0, start); err != nil || q.Lost() != 0 {
		t.Errorf("%v, %d lost", err, q.Lost())
	}
	if got := read(t, path+"0"); !slices.Equal(got, count(9, 10)) {
		t.Errorf("read %v", got)
	}
}

// A disk that hangs costs frames, which are counted, and hardly any time.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x")
		q, err := NewQueue(options(path), start)
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		q.dump.file = slow{q.dump.file, gate}
		begun, given := time.Now(), 0
		var complaints []string
		for range 4 * maxWaiting * bufferSize / 1000 {
			if err := q.Frame(frame(given)); err != nil {
				complaints = append(complaints, err.Error())
			}
			given++
		}
		if took := time.Since(begun); took > patience || len(complaints) != 1 || !strings.HasPrefix(complaints[0], path+": ") {
			t.Errorf("%v, %v", took, complaints)
		}
		left := q.Lost()
		if least := given - (maxWaiting+3)*bufferSize/1000; int(left) < least || int(left) == given {
			t.Errorf("%d of %d lost, not more than %d", left, given, least)
		}
		close(gate)
		synctest.Wait()
		if err := q.Frame(frame(given)); err != nil {
			t.Error(err)
		}
		if err := q.Close(uint64(given), 0, start); err != nil || q.Lost() != left {
			t.Errorf("%v, %d lost, before %d", err, q.Lost(), left)
		}
		if got := read(t, path); len(got) != given+1-int(left) || got[len(got)-1] != given {
			t.Errorf("%d were written, the last is %d", len(got), got[len(got)-1])
		}
	})
}

// The end waits for a disk, but not for ever.
func TestHungDisk(t *testing.T) {
	for _, n := range []int{3, maxWaiting + 5} { // the latter leave no room
		synctest.Test(t, func(t *testing.T) {
			q, err := NewQueue(options(filepath.Join(t.TempDir(), "x")), start)
			if err != nil {
				t.Fatal(err)
			}
			gate := make(chan struct{})
			q.dump.file = slow{q.dump.file, gate}
			for i := range n {
				q.Frame(frame(i))
				q.Flush()
			}
			begun := time.Now()
			if err := q.Close(uint64(n), 0, start); err == nil || time.Since(begun) != closeWithin || q.Lost() == 0 {
				t.Errorf("%d: %v after %v, %d lost", n, err, time.Since(begun), q.Lost())
			}
			close(gate)
		})
	}
}
