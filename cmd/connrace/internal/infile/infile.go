// Package infile opens files to read so that nobody is kept waiting for ever.
package infile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"connrace/cmd/connrace/internal/text"
)

// Open opens what the user named. A named pipe waits until somebody opens its other end; the
// end of the context ends that, too.
func Open(ctx context.Context, path string) (*os.File, error) {
	if st, err := os.Stat(path); err != nil || st.Mode().IsRegular() {
		return OpenRegular(path)
	}
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
		go func() {
			if o := <-c; o.h != nil {
				o.h.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// ErrKind says that something is no regular file.
var ErrKind = errors.New("is not a regular file")

// OpenRegular opens a regular file, and nothing else: it waits for nobody.
func OpenRegular(path string) (*os.File, error) {
	h, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, text.AtPath(path, err)
	}
	if st, err := h.Stat(); err != nil || !st.Mode().IsRegular() {
		h.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrKind)
	}
	return h, nil
}

// Stream makes a reader that gives up when a context ends. A regular file is read as it is:
// it never makes anybody wait.
func Stream(ctx context.Context, r io.Reader) io.Reader {
	if h, ok := r.(*os.File); ok {
		if st, err := h.Stat(); err == nil && st.Mode().IsRegular() {
			return r
		}
	}
	i := &interruptible{ctx: ctx, free: make(chan []byte, 1), full: make(chan chunk)}
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
