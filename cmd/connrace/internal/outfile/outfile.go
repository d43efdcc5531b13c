// Package outfile writes files that are there complete or not at all.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"connrace/cmd/connrace/internal/text"
)

// unfinished are the names of files that have neither been committed nor discarded.
var unfinished sync.Map

// RemoveUnfinished removes what would be left of them, for a program that ends at once.
func RemoveUnfinished() {
	unfinished.Range(func(name, _ any) bool {
		os.Remove(name.(string))
		return true
	})
}

// File is a file that takes its name when it is committed. What existed under the name
// until then stays as it was. A device or a pipe is written to directly.
type File struct {
	*os.File
	path   string // that Commit gives it
	direct bool
	done   bool
}

// Create begins a file. It fails where the file could not be put into its place later.
func Create(path string) (*File, error) {
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir():
		return nil, fmt.Errorf("%s: is a directory", path)
	case err == nil && !st.Mode().IsRegular():
		h, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, text.AtPath(path, err)
		}
		return &File{File: h, path: path, direct: true}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, text.AtPath(path, err)
	}
	target := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		target = real // the link stays one
	}
	dir, base := filepath.Split(target)
	for range 100 {
		h, err := os.OpenFile(fmt.Sprintf("%s.%s.%08x", dir, base, rand.Uint32()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, text.AtPath(path, err)
		}
		unfinished.Store(h.Name(), nil)
		if st != nil {
			h.Chmod(st.Mode().Perm()) // as far as the system lets us
		}
		return &File{File: h, path: target}, nil
	}
	return nil, fmt.Errorf("%s: no free name beside it", path)
}

// Writer is what to write to: an io.WriterAt only where it can be written at any place.
func (f *File) Writer() io.Writer {
	if f.direct {
		return struct{ io.Writer }{f.File}
	}
	return f.File
}

// Commit puts the file into its place.
func (f *File) Commit() error {
	f.done = true
	err := f.Close()
	if err == nil && !f.direct {
		err = os.Rename(f.Name(), f.path)
		unfinished.Delete(f.Name())
	}
	if err != nil {
		f.remove()
		return text.AtPath(f.path, err)
	}
	return nil
}

// Discard gives a file up that was not committed.
func (f *File) Discard() {
	if f == nil || f.done {
		return
	}
	f.done = true
	f.Close()
	f.remove()
}

func (f *File) remove() {
	if !f.direct {
		os.Remove(f.Name())
		unfinished.Delete(f.Name())
	}
}
