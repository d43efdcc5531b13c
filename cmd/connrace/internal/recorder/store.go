package recorder

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/text"
)

// Store is a directory with the captures of findings, NNNN-rule-stream.pcapng. It never
// holds more than its limits: the oldest make room. What else is in the directory is left
// alone.
type Store struct {
	dir   string
	limit Limit
	files []stored // the oldest first
	bytes int64
	next  int
	// Removed and Failed count files that made room, and files that could not be written.
	Removed, Failed uint64
}

// Limit bounds a Store; 0: without bound.
type Limit struct {
	Files int
	Bytes int64
}

type stored struct {
	name   string
	number int
	size   int64
}

var (
	ours     = regexp.MustCompile(`^(\d{4,9})-[a-z0-9-]+\.pcapng$`)
	unfinish = regexp.MustCompile(`^\.\d{4,9}-[a-z0-9-]+\.pcapng\.[0-9a-f]{8}$`)
)

// OpenStore opens a directory, which is made if it is not there, goes on with the numbers
// of an earlier run, and removes what that did not finish.
func OpenStore(dir string, limit Limit) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, text.AtPath(dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, text.AtPath(dir, err)
	}
	s := &Store{dir: dir, limit: limit, next: 1}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if unfinish.MatchString(e.Name()) {
			os.Remove(filepath.Join(dir, e.Name()))
			continue
		}
		m := ours.FindStringSubmatch(e.Name())
		info, err := e.Info()
		if m == nil || err != nil {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		s.files = append(s.files, stored{e.Name(), n, info.Size()})
		s.bytes += info.Size()
		s.next = max(s.next, n+1)
	}
	slices.SortFunc(s.files, func(a, b stored) int { return a.number - b.number })
	probe, err := outfile.Create(filepath.Join(dir, fmt.Sprintf("%04d-probe.pcapng", s.next)))
	if err != nil {
		return nil, err
	}
	probe.Discard()
	s.makeRoom(0)
	return s, nil
}

// Put writes a file, complete or not at all, and returns its path. what names it, as
// "rule-stream".
func (s *Store) Put(what string, write func(io.Writer) error) (path string, err error) {
	name := fmt.Sprintf("%04d-%s.pcapng", s.next, strings.Map(nameable, what))
	path = filepath.Join(s.dir, name)
	size, err := s.write(path, write)
	if err != nil {
		s.Failed++
		return "", text.AtPath(path, err)
	}
	s.files = append(s.files, stored{name, s.next, size})
	s.bytes += size
	s.next++
	return path, nil
}

func (s *Store) write(path string, write func(io.Writer) error) (size int64, err error) {
	f, err := outfile.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Discard()
	if err := write(f.File); err != nil {
		return 0, err
	}
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	if s.limit.Bytes > 0 && size > s.limit.Bytes {
		return 0, fmt.Errorf("would have %d octets, more than all files together may have", size)
	}
	s.makeRoom(size)
	return size, f.Commit()
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
		f := &s.files[n]
		if err := os.Remove(filepath.Join(s.dir, f.name)); err == nil {
			s.Removed++
		}
		s.bytes -= f.size
	}
	s.files = slices.Delete(s.files, 0, n)
}

// Kept are how many files there are, and their octets.
func (s *Store) Kept() (files int, bytes int64) { return len(s.files), s.bytes }

func nameable(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
		return r
	}
	return '-'
}
