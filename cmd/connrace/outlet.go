package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// outlet writes beside the work, in a goroutine of its own: a pager that is not scrolled,
// or a terminal that is held with ^S, keeps neither the capture nor its end waiting. What
// is written waits in memory until it is taken; where that is full the work waits, too.
type outlet struct {
	ctx   context.Context // once it has ended, nobody is waited for who takes nothing
	queue chan parcel
	moved chan struct{} // something was taken
	gone  bool          // given up; for whoever writes, who is one goroutine
}

// parcel is something that was written.
type parcel struct {
	to   *stream
	data []byte
	done chan struct{} // closed when all before it is written; nil: nobody waits for that
}

const (
	// outletRoom is how many parcels may wait. Most are findings of a few kilobytes.
	outletRoom = 1 << 10
	// outletPiece is what is written at once, so that it shows when a slow reader takes
	// something. A pipe takes as much as a whole (PIPE_BUF of Linux).
	outletPiece = 4 << 10
	// outletPatience is for how long nothing may be taken when the end is to come: half of
	// the second that an end may take is for all else.
	outletPatience = 300 * time.Millisecond
)

var errUnread = errors.New("nobody reads it: the rest of it was given up")

// stream is standard output or standard error behind an outlet. Writing to it does not
// fail; err tells.
type stream struct {
	w   io.Writer
	out *outlet

	mu   sync.Mutex
	fail error // the first
}

func newOutlet(ctx context.Context) *outlet {
	o := &outlet{ctx: ctx, queue: make(chan parcel, outletRoom), moved: make(chan struct{}, 1)}
	go o.run()
	return o
}

// run writes until the queue is closed and empty.
func (o *outlet) run() {
	for p := range o.queue {
		for len(p.data) > 0 {
			n := min(len(p.data), outletPiece)
			if _, err := p.to.w.Write(p.data[:n]); err != nil {
				p.to.failed(err)
				break
			}
			p.data = p.data[n:]
			select {
			case o.moved <- struct{}{}:
			default:
			}
		}
		if p.done != nil {
			close(p.done)
		}
	}
}

// wait waits until there is room for a parcel in the queue, or until done is closed. False:
// the end is to come, and for a while nothing was taken.
func (o *outlet) wait(queue chan<- parcel, p parcel, done <-chan struct{}) bool {
	ended := o.ctx.Done()
	var late <-chan time.Time // from the end on
	for !o.gone {
		select {
		case queue <- p:
			return true
		case <-done:
			return true
		case <-ended:
			ended, late = nil, time.After(outletPatience)
		case <-o.moved:
			if late != nil {
				late = time.After(outletPatience)
			}
		case <-late:
			o.gone = true
		}
	}
	return false
}

// flush waits until all is written, or nobody takes it, which is false.
func (o *outlet) flush() bool {
	done := make(chan struct{})
	return o.wait(o.queue, parcel{done: done}, nil) && o.wait(nil, parcel{}, done)
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.out.wait(s.out.queue, parcel{to: s, data: bytes.Clone(b)}, nil) {
		s.failed(errUnread)
	}
	return len(b), nil
}

func (s *stream) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.fail = err
	}
}

// err is the first error of writing.
func (s *stream) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

// apart makes an environment whose output is written apart from the work. The function
// that it returns ends that: it waits until all is written, unless ctx has ended and nobody
// takes it, and returns the exit code, which is code unless something was lost.
func (e *env) apart(ctx context.Context) (*env, func(code int) int) {
	stdout := &stream{w: e.stdout, out: newOutlet(ctx)}
	stderr := &stream{w: e.stderr, out: stdout.out}
	if !sameOutput(e.stdout, e.stderr) { // else what is written keeps its order
		stderr.out = newOutlet(ctx)
	}
	x := &env{e.stdin, stdout, stderr}
	return x, func(code int) int {
		if !stdout.out.flush() {
			stdout.failed(errUnread)
		}
		if c := x.written(stdout.err()); c != exitOK {
			code = c
		}
		stderr.out.flush()
		close(stdout.out.queue)
		if stderr.out != stdout.out {
			close(stderr.out.queue)
		}
		return code
	}
}

// outputErr is why standard output that is written apart could not be.
func (e *env) outputErr() error {
	if s, is := e.stdout.(*stream); is {
		return s.err()
	}
	return nil
}

// sameOutput reports whether both are the same terminal, pipe or file.
func sameOutput(a, b io.Writer) bool {
	x, y := asFile(a), asFile(b)
	if x == nil || y == nil {
		return a == b
	}
	s, errS := x.Stat()
	t, errT := y.Stat()
	return errS == nil && errT == nil && os.SameFile(s, t)
}

// asFile is the file that is written to; nil: it is none.
func asFile(w io.Writer) *os.File {
	if s, is := w.(*stream); is {
		w = s.w
	}
	f, _ := w.(*os.File)
	return f
}
