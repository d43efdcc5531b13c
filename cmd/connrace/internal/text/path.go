package text

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// AtPath makes an error read "PATH: reason", without the name of the system call that
// failed. An error that names the path already keeps its form. It wraps what it was made
// of; nil stays nil.
func AtPath(path string, err error) error {
	var pathError *fs.PathError
	var linkError *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pathError):
		err = pathError.Err
	case errors.As(err, &linkError):
		err = linkError.Err
	}
	if strings.HasPrefix(err.Error(), path+":") {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// FileName is what a file of a path is called: its name, or of a device or a pipe (/dev/fd/63), whose
// name says nothing, the whole path.
func FileName(path string) string {
	if strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/") {
		return Clean(path)
	}
	return Clean(filepath.Base(path))
}
