package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/outfile"
)

// names are those in a directory, but for the index.
func names(t *testing.T, dir string) (ns []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if e.Name() != indexName {
			ns = append(ns, e.Name())
		}
	}
	return ns
}

func open(t *testing.T, dir string, l Limit) *Store {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("files have no owners and inodes")
	}
	s, err := OpenStore(dir, l, outfile.Private)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func write(t *testing.T, s *Store, what string, n int) string {
	t.Helper()
	path, err := s.Put(s.Name(what), make([]byte, n))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path)
}

func has(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("there are %v\nwant      %v", got, want)
	}
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s := open(t, dir, Limit{Files: 3, Bytes: 1000})
	os.WriteFile(filepath.Join(dir, "0000-mine.txt"), nil, 0o600)
	put := func(n int, want ...string) {
		t.Helper()
		if got, last := write(t, s, fmt.Sprintf("rule-%d", n), n), want[len(want)-1]; got != last {
			t.Errorf("wrote %s, want %s", got, last)
		}
		has(t, dir, append([]string{"0000-mine.txt"}, want...)...)
		sum := int64(0)
		for _, n := range want {
			st, _ := os.Stat(filepath.Join(dir, n))
			sum += st.Size()
			if st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", n, st.Mode())
			}
		}
		if files, bytes := len(s.files), s.bytes; files != len(want) || bytes != sum {
			t.Errorf("%d files, %d octets; want %d, %d", files, bytes, len(want), sum)
		}
	}
	put(100, "0001-rule-100.pcapng")
	put(200, "0001-rule-100.pcapng", "0002-rule-200.pcapng")
	put(300, "0001-rule-100.pcapng", "0002-rule-200.pcapng", "0003-rule-300.pcapng")
	put(10, "0002-rule-200.pcapng", "0003-rule-300.pcapng", "0004-rule-10.pcapng") // one too many
	put(900, "0004-rule-10.pcapng", "0005-rule-900.pcapng")                        // bytes too many
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if st, _ := os.Stat(d); st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v", d, st.Mode())
		}
	}

	// What is too large leaves no trace.
	path := s.Name("rule-6")
	if _, err := s.Put(path, make([]byte, 1001)); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "0006-rule-6.pcapng")+": ") {
		t.Errorf("error %v", err)
	}
	has(t, dir, "0000-mine.txt", "0004-rule-10.pcapng", "0005-rule-900.pcapng")

	// Another run goes on where this one ended, and tidies up what it had not finished.
	f, err := outfile.New(s.dir, "0006-rule-6.pcapng", path, outfile.Private)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := f.Stat()
	e, _ := entryOf(f.Temporary(), st, unknown)
	s.index.add(e)
	s.Close()
	s = open(t, dir, Limit{Files: 2})
	put(1, "0005-rule-900.pcapng", "0006-rule-1.pcapng")
	if s.Foreign.Files != 0 || s.Doubt != nil {
		t.Errorf("foreign: %+v, %v", s.Foreign, s.Doubt)
	}
	s.Close()
	s = open(t, dir, Limit{Files: 1})
	has(t, dir, "0000-mine.txt", "0006-rule-1.pcapng")
	if got := write(t, s, "../../Evil\x00", 1); got != "0007--------vil-.pcapng" {
		t.Errorf("%q", got)
	}

	file := filepath.Join(dir, "0000-mine.txt")
	if _, err := OpenStore(file, Limit{}, outfile.Private); err == nil || !bytes.HasPrefix([]byte(err.Error()), []byte(file+": ")) {
		t.Errorf("a file for a directory: %v", err)
	}
}

// Nothing is removed that the store has not written, whatever it is called.
func TestStoreLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	foreign := []string{"0001-fin-request-crossing-0.pcapng", "2024-trace.pcapng"}
	for _, n := range foreign {
		os.WriteFile(at(n), []byte("mine"), 0o600)
	}
	os.WriteFile(at(".0002-rule-6.pcapng.0123abcd"), nil, 0o600)
	s := open(t, dir, Limit{Files: 1})
	if s.Foreign != (Foreign{2, foreign[0]}) {
		t.Errorf("foreign: %+v", s.Foreign)
	}
	a, b, c := write(t, s, "rule-1", 10), write(t, s, "rule-2", 10), ""
	if a != "2025-rule-1.pcapng" || b != "2026-rule-2.pcapng" {
		t.Errorf("wrote %s, %s", a, b)
	}
	// What somebody put in the place of a file, or changed, or took, is not removed.
	other := func(name string) {
		os.Remove(at(name))
		os.WriteFile(at("new"), make([]byte, 11), 0o600)
		os.Rename(at("new"), at(name))
	}
	other(b)
	c = write(t, s, "rule-3", 10)
	s.Close()
	other(c)
	s = open(t, dir, Limit{Files: 1})
	write(t, s, "rule-4", 10)
	has(t, dir, ".0002-rule-6.pcapng.0123abcd", foreign[0], "2024-trace.pcapng", b, c, "2028-rule-4.pcapng")

	// A name that is taken meanwhile, by whatever: the next one.
	os.Symlink(at("victim"), at("2029-rule-5.pcapng"))
	os.Mkdir(at("2030-rule-5.pcapng"), 0o700)
	if got := write(t, s, "rule-5", 10); got != "2031-rule-5.pcapng" {
		t.Errorf("wrote %s", got)
	}
	if _, err := os.Lstat(at("victim")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a link was followed")
	}
}

// An index that somebody else can have written is not believed, nor replaced.
func TestStoreDoubtsIndex(t *testing.T) {
	for name, change := range map[string]func(path string){
		"permissions": func(p string) { os.Chmod(p, 0o620) },
		"other names": func(p string) { os.Link(p, p+"2") },
		"a link":      func(p string) { os.Rename(p, p+"2"); os.Symlink(p+"2", p) },
		"a directory": func(p string) { os.Remove(p); os.Mkdir(p, 0o700) },
		"too large":   func(p string) { os.Truncate(p, maxIndex+1) },
		"other text":  func(p string) { os.WriteFile(p, []byte("x\n"), 0o600) },
		"a path":      func(p string) { os.WriteFile(p, []byte(indexHead+"\n../x.pcapng 1 2\n"), 0o600) },
		"owner": func(p string) {
			if os.Geteuid() == 0 {
				os.Chown(p, 1, 1)
			} else {
				os.Chmod(p, 0o644)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Limit{})
			old := write(t, s, "rule-1", 10)
			s.Close()
			change(filepath.Join(dir, indexName))
			before, _ := os.Lstat(filepath.Join(dir, indexName))
			s = open(t, dir, Limit{Files: 1})
			if s.Doubt == nil || s.Foreign.Files != 1 {
				t.Errorf("doubt %v, foreign %+v", s.Doubt, s.Foreign)
			}
			a, b := write(t, s, "rule-2", 10), write(t, s, "rule-3", 10)
			got := names(t, dir)
			if !slices.Contains(got, old) || slices.Contains(got, a) || !slices.Contains(got, b) {
				t.Errorf("there are %v", got)
			}
			if after, err := os.Lstat(filepath.Join(dir, indexName)); err != nil || !os.SameFile(before, after) {
				t.Error("the index was replaced")
			}
		})
	}
}

// Two runs in one directory: the second leaves the index to the first.
func TestStoreTwice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there are locks")
	}
	dir := t.TempDir()
	a := open(t, dir, Limit{Files: 1})
	b := open(t, dir, Limit{Files: 1})
	if b.Doubt == nil || a.Doubt != nil {
		t.Errorf("doubts: %v, %v", a.Doubt, b.Doubt)
	}
	write(t, a, "rule-0", 1)
	write(t, b, "rule-0", 2)
	has(t, dir, "0001-rule-0.pcapng", "0002-rule-0.pcapng")
}

// The index stays small however many files come and go.
func TestIndexIsCompact(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Limit{Files: 3})
	for range 3000 {
		write(t, s, "rule-0", 1)
	}
	if st, err := os.Stat(filepath.Join(dir, indexName)); err != nil || st.Size() > 100_000 {
		t.Errorf("%d octets, %v", st.Size(), err)
	}
	s.Close()
	if s = open(t, dir, Limit{}); len(s.files) != 3 || s.Doubt != nil {
		t.Errorf("%d files, %v", len(s.files), s.Doubt)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(indexHead + "\n0001-rule-0.pcapng 12 100\n.0001-rule-0.pcapng.0123abcd 12 -1\n0002-"))
	f.Fuzz(func(t *testing.T, data []byte) {
		es, _ := parseIndex(bytes.NewReader(data))
		for _, e := range es {
			if filepath.Base(e.name) != e.name || !strings.Contains(e.name, ".pcapng") || e.size < unknown {
				t.Errorf("%+v", e)
			}
		}
	})
}
