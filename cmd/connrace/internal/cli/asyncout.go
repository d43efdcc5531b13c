package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"connrace/cmd/connrace/internal/term"
)

// asyncOut writes beside the work, in a goroutine of its own: a pager that is not scrolled,
// or a terminal that is held with ^S, keeps neither the capture nor its end waiting. What
// is written waits in memory until it is taken; where that is full the work waits, too.
type asyncOut struct {
	ctx   context.Context // once it has ended, nobody is waited for who takes nothing
	queue chan chunk
	moved chan struct{} // something was taken
	gone  bool          // given up; for whoever writes, who is one goroutine
}

// chunk is something that was written.
type chunk struct {
	to   *stream
	data []byte
	done chan struct{} // closed when all before it is written; nil: nobody waits for that
}

const (
	// asyncRoom is how many chunks may wait. Most are findings of a few kilobytes.
	asyncRoom = 1 << 10
	// asyncPiece is what is written at once, so that it shows when a slow reader takes
	// something. A pipe takes as much as a whole (PIPE_BUF of Linux).
	asyncPiece = 4 << 10
	// asyncPatience is for how long nothing may be taken when the end is to come: half of
	// the second that an end may take is for all else.
	asyncPatience = 300 * time.Millisecond
)

var errUnread = errors.New("nobody reads it: the rest of it was given up")

// stream is standard output or standard error behind an asyncOut. Writing to it does not
// fail; err tells.
type stream struct {
	w   io.Writer
	out *asyncOut

	mu   sync.Mutex
	fail error // the first
}

func newAsyncOut(ctx context.Context) *asyncOut {
	o := &asyncOut{ctx: ctx, queue: make(chan chunk, asyncRoom), moved: make(chan struct{}, 1)}
	go o.run()
	return o
}

// run writes until the queue is closed and empty.
func (o *asyncOut) run() {
	for p := range o.queue {
		for len(p.data) > 0 {
			n := min(len(p.data), asyncPiece)
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

// wait waits until there is room for a chunk in the queue, or until done is closed. False:
// the end is to come, and for a while nothing was taken.
func (o *asyncOut) wait(queue chan<- chunk, p chunk, done <-chan struct{}) bool {
	ended := o.ctx.Done()
	var late <-chan time.Time // from the end on
	for !o.gone {
		select {
		case queue <- p:
			return true
		case <-done:
			return true
		case <-ended:
			ended, late = nil, time.After(asyncPatience)
		case <-o.moved:
			if late != nil {
				late = time.After(asyncPatience)
			}
		case <-late:
			o.gone = true
		}
	}
	return false
}

// flush waits until all is written, or nobody takes it, which is false.
func (o *asyncOut) flush() bool {
	done := make(chan struct{})
	return o.wait(o.queue, chunk{done: done}, nil) && o.wait(nil, chunk{}, done)
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.out.wait(s.out.queue, chunk{to: s, data: bytes.Clone(b)}, nil) {
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

// Unwrap is what is written to.
func (s *stream) Unwrap() io.Writer { return s.w }

// Apart makes an environment whose output is written apart from the work. The function
// that it returns ends that: it waits until all is written, unless ctx has ended and nobody
// takes it, and returns the exit code, which is code unless something was lost.
func (e *Env) Apart(ctx context.Context) (*Env, func(code int) int) {
	stdout := &stream{w: e.Stdout, out: newAsyncOut(ctx)}
	stderr := &stream{w: e.Stderr, out: stdout.out}
	if !e.OnePlace() { // else what is written keeps its order
		stderr.out = newAsyncOut(ctx)
	}
	x := &Env{Stdin: e.Stdin, Stdout: stdout, Stderr: stderr, Confine: e.Confine, Self: e.Self}
	return x, func(code int) int {
		if !stdout.out.flush() {
			stdout.failed(errUnread)
		}
		if c := x.Written(stdout.err()); c != ExitOK {
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

// OutputErr is why standard output that is written apart could not be.
func (e *Env) OutputErr() error {
	if s, is := e.Stdout.(*stream); is {
		return s.err()
	}
	return nil
}

// OnePlace reports whether stdout and stderr lead to the same terminal, pipe or file, where
// what is written to both is read twice.
func (e *Env) OnePlace() bool {
	x, y := term.AsFile(e.Stdout), term.AsFile(e.Stderr)
	if x == nil || y == nil {
		return e.Stdout == e.Stderr
	}
	s, errS := x.Stat()
	t, errT := y.Stat()
	return errS == nil && errT == nil && os.SameFile(s, t)
}
