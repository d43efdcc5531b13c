package capture

import "io"

const (
	windowSize = 256 << 10 // what is read at once; it stays in the L2 cache
	windowMax  = 1 << 20   // a window grows up to this for large records and for resyncs
)

// window is the part of a stream that is in memory: buf[pos:end] has been read but not
// consumed.
type window struct {
	r        io.Reader
	buf      []byte
	pos, end int
	base     int64   // offset of buf[0] in the stream
	err      error   // of the last read; it stays
	elided   int64   // bytes of the record at pos that elide removed before it failed
	spill    *[]byte // receives the bytes that elide removes; nil: they are lost

	// With File.Keep, frames outlive the call of Read that delivered them: then
	// buffers take turns.
	keep  uint64
	reads uint64 // that delivered frames
	lent  bool   // frames point into buf
	out   []lent // the one that was in use the longest time ago first
}

// lent is a buffer into which frames of calls of Read up to a number point.
type lent struct {
	buf  []byte
	read uint64
}

func newWindow(r io.Reader) window {
	return window{r: r, buf: make([]byte, windowSize)}
}

// delivered says that a call of Read is delivering frames.
func (w *window) delivered() {
	w.reads++
	w.lent = true
}

// again goes on at another place of the stream.
func (w *window) again(r io.Reader, at int64) {
	w.r, w.base, w.pos, w.end, w.err = r, at, 0, 0, nil
}

// unread returns what has been read but not consumed.
func (w *window) unread() []byte { return w.buf[w.pos:w.end] }

// offset returns the position in the stream of the first unread byte.
func (w *window) offset() int64 { return w.base + int64(w.pos) }

// more reads once from the stream, which makes at least one more byte available, and
// returns false at its end. It moves and overwrites the buffer. The caller hopes for want
// unread bytes in the end, at most windowMax.
func (w *window) more(want int) bool {
	if w.err != nil {
		return false
	}
	if n := w.end - w.pos; want > len(w.buf) || n == len(w.buf) {
		size := len(w.buf)
		for size < windowMax && (size < want || size == n) {
			size *= 2
		}
		if size == n {
			w.err = io.ErrShortBuffer // a caller that wants more than windowMax
			return false
		}
		w.rebase(make([]byte, size))
	} else if w.pos > 0 {
		w.rebase(w.next())
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// next is the buffer whose turn it is, of the size of the present one.
func (w *window) next() []byte {
	if w.keep == 0 || !w.lent {
		return w.buf
	}
	w.lent = false
	size := len(w.buf)
	w.out = append(w.out, lent{w.buf, w.reads})
	if first := w.out[0]; w.reads+1 > first.read+w.keep {
		w.out = w.out[:copy(w.out, w.out[1:])]
		if len(first.buf) == size {
			return first.buf
		}
	}
	return make([]byte, size)
}

// rebase makes buf the buffer and moves the unread bytes to its start.
func (w *window) rebase(buf []byte) {
	copy(buf, w.unread())
	w.base += int64(w.pos)
	w.end -= w.pos
	w.pos = 0
	w.buf = buf
}

// need reads until n bytes are unread, and reports whether they are.
func (w *window) need(n int) bool {
	for w.end-w.pos < n {
		if !w.more(n) {
			return false
		}
	}
	return true
}

// elide removes n bytes of the stream behind the first keep unread ones without holding all
// of them, so that a record too large for the window loses its middle. From then on offsets
// of what follows are right, and those of the kept bytes n too large.
func (w *window) elide(keep int, n int64) bool {
	if w.spill != nil {
		*w.spill = (*w.spill)[:0]
	}
	for w.elided = 0; w.elided < n; {
		if !w.need(keep + 1) {
			w.base -= w.elided
			return false
		}
		gone := min(int64(w.end-w.pos-keep), n-w.elided)
		at := w.pos + keep
		if w.spill != nil {
			*w.spill = append(*w.spill, w.buf[at:at+int(gone)]...)
		}
		w.end = at + copy(w.buf[at:], w.buf[at+int(gone):w.end])
		w.base += gone
		w.elided += gone
	}
	w.elided = 0
	return true
}
