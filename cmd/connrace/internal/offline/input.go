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
