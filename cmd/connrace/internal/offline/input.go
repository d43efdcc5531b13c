package offline

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"connrace/capture"
	"connrace/cmd/connrace/internal/infile"
)

// stdinName is what messages call standard input.
const stdinName = "standard input"

// inflateAhead is how much of a compressed file is inflated ahead, of two at most: the one that is
// read and the next one.
const inflateAhead = 32 << 20

// opened is a file that has been opened before its turn.
type opened struct {
	path string
	f    *capture.File
	done func()
	err  error
}

// openNext opens the file that comes next, so that it is inflated beside the one before.
func (s *session) openNext(path string) {
	if st, err := os.Stat(path); path != "-" && runtime.GOMAXPROCS(0) > 1 && err == nil && st.Mode().IsRegular() {
		s.next = &opened{path: path}
		s.next.f, s.next.done, s.next.err = s.open(path)
	}
}

// take is a file that has its turn.
func (s *session) take(path string) (f *capture.File, done func(), err error) {
	if n := s.next; n != nil && n.path == path {
		s.next = nil
		return n.f, n.done, n.err
	}
	return s.open(path)
}

// discardNext closes a file whose turn does not come.
func (s *session) discardNext() {
	if n := s.next; n != nil && n.err == nil {
		n.done()
	}
}

// open opens a file, "-" for standard input. done releases it.
func (s *session) open(path string) (f *capture.File, done func(), err error) {
	o := capture.ReadOptions{Resync: s.flags.resync}
	if path == "-" {
		r, err := s.keep(stdinName, infile.Stream(s.Ctx, s.Env.Stdin))
		if err != nil {
			return nil, nil, err
		}
		if f, err = capture.NewFile(stdinName, r, o); err != nil {
			return nil, nil, err
		}
		return f, func() { f.Close() }, nil
	}
	h, err := s.openFile(path)
	if err != nil {
		return nil, nil, err
	}
	var r io.Reader = h
	if st, errStat := h.Stat(); errStat != nil || !st.Mode().IsRegular() {
		r, err = s.keep(path, infile.Stream(s.Ctx, h))
	} else if runtime.GOMAXPROCS(0) > 1 {
		o.Ahead = inflateAhead
	}
	if err == nil {
		f, err = capture.NewFile(path, r, o)
	}
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return f, func() { f.Close(); h.Close() }, nil
}

// openFile opens a capture that has a name.
func (s *session) openFile(path string) (*os.File, error) {
	h, err := infile.Open(s.Ctx, path)
	if err != nil {
		return nil, err
	}
	if st, err := h.Stat(); err == nil && st.IsDir() {
		h.Close()
		return nil, fmt.Errorf("%s: is a directory, not a capture file", path)
	}
	return h, nil
}
