package capture

import "io"

// readAhead reads in a goroutine of its own, a bounded number of octets ahead of who reads it.
type readAhead struct {
	full, free chan []byte
	cur, rest  []byte // the block that is being read, and what is left of it
	err        error  // that ended it; valid when full is closed
}

// aheadBlock is how much is handed over at once.
const aheadBlock = 256 << 10

// newReadAhead reads ahead from r, most octets about.
func newReadAhead(r io.Reader, most int) *readAhead {
	n := max(most/aheadBlock, 2)
	a := &readAhead{full: make(chan []byte, n), free: make(chan []byte, n)}
	go func() {
		defer close(a.full)
		for made := 0; a.err == nil; made++ {
			var b []byte
			if made < n {
				b = make([]byte, aheadBlock)
			} else if b = <-a.free; b == nil {
				return // closed
			}
			k := 0
			for b = b[:aheadBlock]; k < len(b) && a.err == nil; {
				var got int
				got, a.err = r.Read(b[k:])
				k += got
			}
			a.full <- b[:k]
		}
	}()
	return a
}

func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.cur != nil {
			a.free <- a.cur
			a.cur = nil
		}
		b, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.cur, a.rest = b, b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close ends reading ahead, and waits until it has.
func (a *readAhead) close() {
	if a == nil {
		return
	}
	close(a.free)
	for range a.full { // at most those that there is room for
	}
}
