package offline

import (
	"fmt"
	"io"
	"os"

	"connrace/capture"
	"connrace/cmd/connrace/internal/infile"
)

// stdinName is what messages call standard input.
const stdinName = "standard input"

// inflateAhead is how much of compressed files is inflated ahead, of all that are open together.
const inflateAhead = 64 << 20

// openNext opens the files that come next, so that they are inflated beside the present one.
func (s *session) openNext(i int) {
	for _, r := range s.files[i:min(i+s.Workers-1, len(s.files))] {
		if st, err := os.Stat(r.path); r.path == "-" || err != nil || !st.Mode().IsRegular() {
			return
		}
		s.open(r)
	}
}

// open opens a file unless that has been done.
func (s *session) open(r *reading) {
	if r.src == nil && r.err == nil {
		r.src, r.done, r.err = s.input(r.path)
	}
}

// close closes a file that was opened.
func (r *reading) close() {
	if r.done != nil {
		r.done()
		r.done = nil
	}
}

// closeFiles closes files whose turn has not come.
func (s *session) closeFiles() {
	for _, r := range s.files {
		r.close()
	}
}

// input opens a file, "-" for standard input. done releases it.
func (s *session) input(path string) (f *capture.File, done func(), err error) {
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
	} else if s.Workers > 1 {
		o.Ahead, o.Workers = inflateAhead/max(min(s.Workers, len(s.files)), 1), s.Workers
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
