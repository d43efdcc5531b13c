// Package outfile writes files that are there complete or not at all, and nowhere else than
// where they were to be: a link that somebody else may have laid is not followed, and nothing
// is waited for. What is written is the running user's alone unless he wants it otherwise.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"

	"connrace/cmd/connrace/internal/text"
)

// unfinished are the files that have neither been committed nor discarded.
var unfinished sync.Map

// RemoveUnfinished removes what would be left of them, for a program that ends at once.
func RemoveUnfinished() {
	unfinished.Range(func(_, remove any) bool {
		remove.(func() error)()
		return true
	})
}

// File is a file that takes its name when it is committed. What existed under the name until
// then stays as it was. A device, or a pipe that the program was given open, is written to
// directly.
type File struct {
	*os.File
	path string   // as messages call it
	root *os.Root // where it is; nil: it is written to directly
	own  bool     // root is to be closed
	temp string   // its name so far
	name string   // that Commit gives it
	free bool     // only if nothing has that
	done bool
}

// Create begins a file that will replace what is at a path, and keep its permissions if it
// was the running user's. It fails where the file could not be put into its place later, and
// where something else than a file is there.
func Create(path string, m Umask) (*File, error) {
	if path == os.DevNull {
		return direct(path, fs.ModeCharDevice)
	}
	if st, err := os.Stat(path); err == nil && isDescriptor(path) && !st.Mode().IsRegular() {
		return direct(path, st.Mode().Type())
	}
	p, err := find(path)
	if err != nil {
		return nil, err
	}
	mode, keep := m.file(), false
	switch st := p.info; {
	case st == nil:
	case st.Mode().IsRegular():
		if keep = Owned(st); keep {
			mode = 0o600
		}
	case st.Mode()&fs.ModeCharDevice != 0:
		p.root.Close()
		return direct(path, st.Mode().Type())
	default:
		p.root.Close()
		return nil, fmt.Errorf("%s: %s", path, kind(st.Mode()))
	}
	f, err := begin(p.root, p.name, mode)
	if err != nil {
		p.root.Close()
		return nil, text.AtPath(path, err)
	}
	f.path, f.own = path, true
	if keep {
		f.Chmod(p.info.Mode().Perm()) // as far as the system lets us
	}
	return f, nil
}

// New begins a file in a directory, under a name that nothing there has yet. path is how
// messages call it.
func New(dir *os.Root, name, path string, m Umask) (*File, error) {
	f, err := begin(dir, name, m.file())
	if err != nil {
		return nil, text.AtPath(path, err)
	}
	f.path, f.free = path, true
	return f, nil
}

// CreateIn begins a file that will replace what has its name in a directory, be it a link.
func CreateIn(dir *os.Root, name, path string, m Umask) (*File, error) {
	f, err := New(dir, name, path, m)
	if err == nil {
		f.free = false
	}
	return f, err
}

func begin(dir *os.Root, name string, mode fs.FileMode) (*File, error) {
	for range 100 {
		temp := fmt.Sprintf(".%s.%08x", name, rand.Uint32())
		h, err := dir.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := &File{File: h, root: dir, temp: temp, name: name}
		unfinished.Store(f, func() error { return dir.Remove(temp) })
		return f, nil
	}
	return nil, errors.New("no free name beside it")
}

// direct opens what is no regular file. It does not wait until somebody reads.
func direct(path string, kind fs.FileMode) (*File, error) {
	h, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, text.AtPath(path, err)
	}
	if st, err := h.Stat(); err == nil && kind&st.Mode().Type() != kind {
		h.Close()
		return nil, fmt.Errorf("%s: was replaced while it was opened", path)
	}
	return &File{File: h, path: path}, nil
}

// Writer is what to write to: an io.WriterAt only where it can be written at any place.
func (f *File) Writer() io.Writer {
	if f.root == nil {
		return struct{ io.Writer }{f.File}
	}
	return f.File
}

// Temporary is what the file is called in its directory until it is committed.
func (f *File) Temporary() string { return f.temp }

// Rename makes another name the one that Commit will give it.
func (f *File) Rename(name, path string) { f.name, f.path = name, path }

// Commit puts the file into its place. Where a name was to be free and is not, it fails with
// fs.ErrExist, and may be tried again with another.
func (f *File) Commit() error {
	var err error
	if !f.done {
		f.done = true
		err = f.Close()
	}
	if err == nil {
		err = f.take()
	}
	if err != nil && !(f.free && errors.Is(err, fs.ErrExist)) {
		f.remove()
	}
	if err != nil {
		return text.AtPath(f.path, err)
	}
	f.finish()
	return nil
}

// Place puts the file into its place at once, and leaves it open for more.
func (f *File) Place() error {
	if err := f.take(); err != nil {
		f.Discard()
		return text.AtPath(f.path, err)
	}
	f.finish()
	return nil
}

// take gives the file its name.
func (f *File) take() error {
	switch {
	case f.root == nil:
		return nil
	case !f.free:
		return f.root.Rename(f.temp, f.name)
	}
	err := f.root.Link(f.temp, f.name) // which fails where something is
	if err == nil {
		return f.root.Remove(f.temp)
	}
	if !errors.Is(err, fs.ErrExist) { // a file system without links
		if _, not := f.root.Lstat(f.name); errors.Is(not, fs.ErrNotExist) {
			return f.root.Rename(f.temp, f.name)
		}
	}
	return err
}

// Discard gives a file up that was not committed.
func (f *File) Discard() {
	if f == nil || f.done && f.root == nil {
		return
	}
	if !f.done {
		f.done = true
		f.Close()
	}
	f.remove()
}

func (f *File) remove() {
	if f.root != nil {
		f.root.Remove(f.temp)
	}
	f.finish()
}

// finish lets go of the directory.
func (f *File) finish() {
	unfinished.Delete(f)
	if f.own && f.root != nil {
		f.root.Close()
	}
	f.root = nil
}
