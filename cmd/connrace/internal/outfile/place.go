package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"connrace/cmd/connrace/internal/text"
)

// place is a name in a directory, which is held open: whoever moves the directory, or puts a
// link in its place, moves nothing that is written there.
type place struct {
	root *os.Root
	name string
	info fs.FileInfo // of what is there, which is no link; nil: nothing is
}

// maxLinks is how many links Linux follows (MAXSYMLINKS).
const maxLinks = 40

// find opens the directory of a path. A link is followed where nobody else can have put it
// there (as the kernel does with fs.protected_symlinks, but in every directory that others
// can write to).
func find(path string) (place, error) {
	at := path
	for range maxLinks {
		dir, name := split(at)
		root, err := os.OpenRoot(dir + string(filepath.Separator)) // else a named pipe would be waited for
		if err != nil {
			return place{}, text.AtPath(path, err)
		}
		st, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return place{root, name, nil}, nil
		case err == nil && st.Mode()&fs.ModeSymlink == 0:
			return place{root, name, st}, nil
		case err == nil:
			at, err = follow(root, dir, name)
		}
		root.Close()
		if err != nil {
			return place{}, text.AtPath(path, err)
		}
	}
	return place{}, fmt.Errorf("%s: too many symbolic links", path)
}

// split is filepath.Split, but the name is always one in the directory.
func split(path string) (dir, name string) {
	path = filepath.Clean(path)
	dir, name = filepath.Dir(path), filepath.Base(path)
	if name == ".." || name == string(filepath.Separator) {
		return path, "."
	}
	return dir, name
}

// follow is where a link leads.
func follow(root *os.Root, dir, name string) (string, error) {
	st, err := root.Stat(".")
	if err != nil {
		return "", err
	}
	if !closed(st) {
		return "", errors.New("is a symbolic link, in a directory that others can write to")
	}
	to, err := root.Readlink(name)
	if err == nil && !filepath.IsAbs(to) {
		to = filepath.Join(dir, to)
	}
	return to, err
}

// isDescriptor reports whether a path stands for a file that the program was given open, such
// as the pipe of a shell's >(command).
func isDescriptor(path string) bool {
	path = filepath.ToSlash(filepath.Clean(path))
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if n, is := strings.CutPrefix(path, dir); is && !strings.Contains(n, "/") {
			return true
		}
	}
	return path == "/dev/stdout" || path == "/dev/stderr"
}

// kind says what is no regular file.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "is a directory"
	case m&fs.ModeNamedPipe != 0:
		return "is a named pipe, not a regular file"
	case m&fs.ModeSocket != 0:
		return "is a socket, not a regular file"
	}
	return "is not a regular file"
}

// OpenDir opens a directory to write into, which is made if it is not there.
func OpenDir(path string, m Umask) (*os.Root, error) {
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(path)), m.dir()); err != nil {
		return nil, text.AtPath(path, err)
	}
	p, err := find(path)
	if err != nil {
		return nil, err
	}
	defer p.root.Close()
	if p.info == nil {
		if err := p.root.Mkdir(p.name, m.dir()); err != nil {
			return nil, text.AtPath(path, err)
		}
		if p.info, err = p.root.Lstat(p.name); err != nil {
			return nil, text.AtPath(path, err)
		}
	}
	if !p.info.IsDir() {
		return nil, fmt.Errorf("%s: is not a directory", path)
	}
	dir, err := p.root.OpenRoot(p.name)
	if err != nil {
		return nil, text.AtPath(path, err)
	}
	if st, err := dir.Stat("."); err != nil || !os.SameFile(st, p.info) {
		dir.Close()
		return nil, fmt.Errorf("%s: was replaced while it was opened", path)
	}
	return dir, nil
}
