package main

import (
	"context"
	"io"
	"os"

	"connrace/capture"
	"connrace/cmd/connrace/internal/text"
)

// stdinName is what messages call standard input.
const stdinName = "standard input"

// open opens a file, "-" for standard input. done releases it.
func (s *session) open(path string) (f *capture.File, done func(), err error) {
	o := capture.ReadOptions{Resync: s.flags.resync}
	if path == "-" {
		r, err := s.keep(stdinName, s.stream(s.e.stdin))
		if err != nil {
			return nil, nil, err
		}
		if f, err = capture.NewFile(stdinName, r, o); err != nil {
			return nil, nil, err
		}
		return f, func() { f.Close() }, nil
	}
	if st, err := os.Stat(path); err != nil || st.Mode().IsRegular() || st.IsDir() {
		f, err = capture.Open(path, o)
		if err != nil {
			return nil, nil, err
		}
		return f, func() { f.Close() }, nil
	}
	h, err := openSlow(s.ctx, path)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.keep(path, s.stream(h))
	if err == nil {
		f, err = capture.NewFile(path, r, o)
	}
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return f, func() { f.Close(); h.Close() }, nil
}

// openSlow opens a FIFO, which waits until somebody opens its other end.
func openSlow(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		h   *os.File
		err error
	}
	c := make(chan opened, 1)
	go func() {
		h, err := os.Open(path)
		c <- opened{h, err}
	}()
	select {
	case o := <-c:
		return o.h, text.AtPath(path, o.err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stream makes a reader that gives up when the session is interrupted. A regular file
// is read as it is: it never makes anybody wait.
func (s *session) stream(r io.Reader) io.Reader {
	if h, ok := r.(*os.File); ok {
		if st, err := h.Stat(); err == nil && st.Mode().IsRegular() {
			return r
		}
	}
	i := &interruptible{ctx: s.ctx, free: make(chan []byte, 1), full: make(chan chunk)}
	i.free <- make([]byte, chunkSize)
	go i.pump(r)
	return i
}

// chunkSize is more than a pipe holds (64 KiB on Linux).
const chunkSize = 128 << 10

// interruptible reads ahead in a goroutine, for a Read of a pipe cannot be interrupted.
type interruptible struct {
	ctx  context.Context
	free chan []byte
	full chan chunk
	buf  []byte // to give back
	rest chunk
}

type chunk struct {
	b   []byte
	err error
}

// pump ends with the input, or when nobody reads any more.
func (i *interruptible) pump(r io.Reader) {
	for {
		var buf []byte
		select {
		case buf = <-i.free:
		case <-i.ctx.Done():
			return
		}
		n, err := r.Read(buf)
		select {
		case i.full <- chunk{buf[:n], err}:
		case <-i.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.rest.b) == 0 && i.rest.err == nil {
		if i.buf != nil {
			i.free <- i.buf
			i.buf = nil
		}
		select {
		case i.rest = <-i.full:
			i.buf = i.rest.b[:cap(i.rest.b)]
		case <-i.ctx.Done():
			i.rest.err = i.ctx.Err()
		}
	}
	if len(i.rest.b) == 0 {
		return 0, i.rest.err
	}
	n := copy(p, i.rest.b)
	i.rest.b = i.rest.b[n:]
	return n, nil
}
