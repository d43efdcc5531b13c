package outfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func names(t *testing.T, dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ns []string
	for _, e := range entries {
		ns = append(ns, e.Name())
	}
	return strings.Join(ns, " ")
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, commit := range []bool{false, true} {
		f, err := Create(path, Private)
		if err != nil {
			t.Fatal(err)
		}
		w := f.Writer()
		io.WriteString(w, "after!")
		w.(io.WriterAt).WriteAt([]byte("A"), 0)
		if b, _ := os.ReadFile(path); string(b) != "before" {
			t.Errorf("%q before it was committed", b)
		}
		want := "before"
		if commit {
			want = "After!"
			if err := f.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		f.Discard()
		if b, _ := os.ReadFile(path); string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
		if got := names(t, dir); got != "x" {
			t.Errorf("left %q", got)
		}
	}
	if st, _ := os.Stat(path); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	var none *File
	none.Discard()
}

func TestFileThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(dir, Private); err == nil || err.Error() != dir+": is a directory" {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(dir, "no", "x")
	if _, err := Create(path, Private); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
	path = filepath.Join(dir, "gone", "x")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, Private)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.Name())
	if err := f.Commit(); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
}

func TestLinksAndDevices(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "x"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	f, err := Create(link, Private)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "text")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Lstat(link); st.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link became a file")
	}
	if b, _ := os.ReadFile(path); string(b) != "text" {
		t.Errorf("got %q", b)
	}
	if _, err := os.Stat(os.DevNull); err != nil {
		t.Skip(err)
	}
	f, err = Create(os.DevNull, Private)
	if err != nil {
		t.Fatal(err)
	}
	if _, is := f.Writer().(io.WriterAt); is {
		t.Error("a device takes writes at any place")
	}
	io.WriteString(f.Writer(), "text")
	f.Discard()
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Error("the device is gone")
	}
}

// What others may have prepared is neither followed nor kept, and nothing is waited for.
func TestPrepared(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no owners")
	}
	dir := t.TempDir()
	open, victim := filepath.Join(dir, "open"), filepath.Join(dir, "victim")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o777)
	os.WriteFile(victim, []byte("precious"), 0o640)
	at := func(name string) string { return filepath.Join(open, name) }
	os.Symlink(victim, at("link"))
	os.Symlink(dir, at("dir"))
	os.Symlink(at("loop"), filepath.Join(dir, "loop"))
	os.Symlink(filepath.Join(dir, "loop2"), filepath.Join(dir, "loop2"))
	for path, want := range map[string]string{
		at("link"):                  at("link") + ": is a symbolic link, in a directory that others can write to",
		filepath.Join(dir, "loop2"): filepath.Join(dir, "loop2") + ": too many symbolic links",
	} {
		if _, err := Create(path, Private); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := OpenDir(at("dir"), Private); err == nil {
		t.Error("a link was followed to a directory")
	}

	// A name of a directory that is open is taken only if it is free.
	root, err := OpenDir(open, Private)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := New(root, "link", at("link"), Private)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	f.Rename("free", at("free"))
	if err := f.Commit(); err != nil {
		t.Error(err)
	}
	f.Discard()
	if got := names(t, open); got != "dir free link" {
		t.Errorf("there are %s", got)
	}

	// A second name of a file is no way to it, nor is what somebody holds open.
	if err := os.Link(victim, at("hard")); err != nil {
		t.Skip(err)
	}
	if f, err = Create(at("hard"), Private); err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "text")
	if err := f.Place(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the file of another name became %q", b)
	}
	for path, want := range map[string]fs.FileMode{at("hard"): 0o640, at("free"): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
}
