package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/text"
)

// Store is a directory with the captures of findings, NNNN-rule-stream.pcapng. It never
// holds more of them than its limits: the oldest make room. What is a Store's own says an
// index in the directory; everything else there is left alone, whatever it is called.
type Store struct {
	dir   *os.Root
	path  string // of dir
	limit Limit
	umask outfile.Umask
	index *index   // nil: there is none that would be believed
	files []stored // the oldest first
	bytes int64
	next  atomic.Int64
	// Foreign are captures that it found and did not write, some of them by name.
	Foreign Foreign
	// Doubt is why the index that it found is not believed; nil: it is, or there was none.
	Doubt error
}

// Limit bounds a Store; 0: without bound.
type Limit struct {
	Files int
	Bytes int64
}

// Foreign counts files and names the first of them.
type Foreign struct {
	Files int
	First string
}

// stored is a file that was written.
type stored struct {
	entry
	number int64
}

var (
	ours       = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d{4,10})-[a-z0-9-]+\.pcapng$`) })
	unfinished = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.\d{4,10}-[a-z0-9-]+\.pcapng\.[0-9a-f]{8}$`) })
	captures   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\.p?cap(ng)?(\.(gz|zst|lz4))?$`) })
)

// maxFound bounds the numbers that are gone on from: whoever names a file in the directory
// does not use them up.
const maxFound = 100_000_000

// OpenStore opens a directory, which is made if it is not there, goes on with the numbers
// of an earlier run, and removes what that did not finish.
func OpenStore(path string, limit Limit, m outfile.Umask) (*Store, error) {
	dir, err := outfile.OpenDir(path, m)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, path: path, limit: limit, umask: m}
	if err := s.open(); err != nil {
		s.Close()
		return nil, text.AtPath(path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	known, err := readIndex(s.dir)
	s.Doubt = err
	for _, e := range known {
		switch {
		case !e.is(s.dir):
		case e.size == unknown:
			s.dir.Remove(e.name)
		default:
			s.keep(e)
		}
	}
	slices.SortStableFunc(s.files, func(a, b stored) int { return int(a.number - b.number) })
	if err := s.look(); err != nil {
		return err
	}
	if s.Doubt == nil {
		if s.index, err = newIndex(s.dir, filepath.Join(s.path, indexName), s.files); err != nil {
			return err
		}
	} else { // at least it shall be known now whether files can be made
		f, err := outfile.New(s.dir, "probe", s.path, s.umask)
		if err != nil {
			return err
		}
		f.Discard()
	}
	s.makeRoom(0)
	return nil
}

// look finds the next number, and what is foreign.
func (s *Store) look() error {
	dir, err := s.dir.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	s.next.Store(1)
	for {
		es, err := dir.ReadDir(1000)
		for _, e := range es {
			n := numberOf(e.Name())
			if n < maxFound {
				s.next.Store(max(s.next.Load(), n+1))
			}
			if captures().MatchString(e.Name()) && !s.has(e.Name(), n) {
				if s.Foreign.Files++; s.Foreign.First == "" || e.Name() < s.Foreign.First {
					s.Foreign.First = e.Name()
				}
			}
		}
		if len(es) == 0 {
			break
		}
		if err != nil {
			return err
		}
	}
	if n := len(s.files); n > 0 {
		s.next.Store(max(s.next.Load(), s.files[n-1].number+1))
	}
	return nil
}

// numberOf is the number of a file; 0: it has none.
func numberOf(name string) int64 {
	m := ours().FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

func (s *Store) has(name string, number int64) bool {
	i, _ := slices.BinarySearchFunc(s.files, number, func(f stored, n int64) int { return int(f.number - n) })
	for ; i < len(s.files) && s.files[i].number == number; i++ {
		if s.files[i].name == name {
			return true
		}
	}
	return false
}

func (s *Store) keep(e entry) {
	s.files = append(s.files, stored{e, numberOf(e.name)})
	s.bytes += e.size
}

// Name is what the next file will be called, unless something is called that by then; what
// names it, as "rule-stream".
func (s *Store) Name(what string) (path string) {
	return filepath.Join(s.path, fmt.Sprintf("%04d-%s.pcapng", s.next.Add(1)-1, strings.Map(nameable, what)))
}

// maxTaken is how many names may be taken before it is given up.
const maxTaken = 100

// Put writes a file under a name that Name gave it, or the next one that is free, complete or
// not at all, and returns its path.
func (s *Store) Put(path string, data []byte) (string, error) {
	if most := s.limit.Bytes; most > 0 && int64(len(data)) > most {
		return "", fmt.Errorf("%s: would have %d bytes, more than all files together may have", path, len(data))
	}
	f, err := outfile.New(s.dir, filepath.Base(path), path, s.umask)
	if err != nil {
		return "", err
	}
	defer f.Discard()
	st, err := f.Stat()
	if err != nil {
		return "", text.AtPath(path, err)
	}
	// A file is in the index before it has its name: none is there that would never make room.
	temp, _ := entryOf(f.Temporary(), st, unknown)
	err = s.index.add(temp)
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		return "", text.AtPath(path, err)
	}
	s.makeRoom(int64(len(data)))
	for range maxTaken {
		e, _ := entryOf(filepath.Base(path), st, int64(len(data)))
		if err := s.index.add(e); err != nil {
			return "", text.AtPath(path, err)
		}
		if err = f.Commit(); err == nil {
			s.keep(e)
			s.compact()
			return path, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		_, what, _ := strings.Cut(strings.TrimSuffix(e.name, ".pcapng"), "-")
		path = s.Name(what)
		f.Rename(filepath.Base(path), path)
	}
	return "", err
}

// compact writes the index anew where most of its lines are of files that are gone.
func (s *Store) compact() {
	const few = 1000
	if x := s.index; x == nil || x.lines < 4*len(s.files)+few {
		return
	}
	if x, err := newIndex(s.dir, filepath.Join(s.path, indexName), s.files); err == nil {
		s.index.close()
		s.index = x
	}
}

// makeRoom removes files, the oldest first, until another of a size would fit; 0: none is
// to come.
func (s *Store) makeRoom(size int64) {
	more := 0
	if size > 0 {
		more = 1
	}
	n := 0
	for ; n < len(s.files); n++ {
		files, bytes := len(s.files)-n+more, s.bytes+size
		if (s.limit.Files == 0 || files <= s.limit.Files) && (s.limit.Bytes == 0 || bytes <= s.limit.Bytes) {
			break
		}
		if f := &s.files[n]; f.is(s.dir) {
			s.dir.Remove(f.name)
		}
		s.bytes -= s.files[n].size
	}
	s.files = slices.Delete(s.files, 0, n)
}

// Close lets go of the directory.
func (s *Store) Close() {
	s.index.close()
	s.dir.Close()
}

func nameable(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
		return r
	}
	return '-'
}
