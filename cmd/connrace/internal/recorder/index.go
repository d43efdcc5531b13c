package recorder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"connrace/cmd/connrace/internal/outfile"
)

// indexName is the file of a directory that says which others in it are a Store's own.
const indexName = ".connrace-index"

const (
	indexHead = "connrace evidence 1"
	indexMode = 0o600
	// maxIndex bounds what is read: some 100,000 files.
	maxIndex = 8 << 20
)

// entry is a file as the index has it. Nothing else is ever removed, and this only while it
// is what it was.
type entry struct {
	name  string
	inode uint64
	size  int64 // unknown: it was not finished
}

const unknown = -1

func (e entry) line() string { return fmt.Sprintf("%s %d %d\n", e.name, e.inode, e.size) }

// entryOf describes a file that a Store writes.
func entryOf(name string, st fs.FileInfo, size int64) (entry, bool) {
	id, known := outfile.Identify(st)
	return entry{name, id.Inode, size}, known
}

// is reports whether the directory has the file, as it was written, and as the running
// user's.
func (e entry) is(dir *os.Root) bool {
	st, err := dir.Lstat(e.name)
	if err != nil || !st.Mode().IsRegular() || !outfile.Owned(st) {
		return false
	}
	now, known := entryOf(e.name, st, st.Size())
	return known && now.inode == e.inode && (e.size == unknown || e.size == now.size)
}

// index is the file, open to be added to. Lines stay after what they name has gone: each is
// checked before it is believed.
type index struct {
	file  *os.File
	lines int
	size  int64
}

// readIndex reads what an earlier run has left. An error says why that is not believed.
func readIndex(dir *os.Root) (es []entry, err error) {
	st, err := dir.Lstat(indexName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch id, known := outfile.Identify(st); {
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case !known || !outfile.Owned(st):
		return nil, errors.New("it belongs to another user")
	case st.Mode().Perm() != indexMode:
		return nil, fmt.Errorf("its permissions are %04o, not %04o", st.Mode().Perm(), indexMode)
	case id.Links != 1:
		return nil, errors.New("it has other names")
	case st.Size() > maxIndex:
		return nil, errors.New("it is too large")
	}
	h, err := dir.OpenFile(indexName, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if now, err := h.Stat(); err != nil || !os.SameFile(now, st) {
		return nil, errors.New("it was replaced while it was opened")
	}
	if err := lock(h); err != nil {
		return nil, errors.New("another connrace writes there now")
	}
	return parseIndex(io.LimitReader(h, maxIndex))
}

var errIndex = errors.New("it is none of connrace's")

// parseIndex accepts an index as a whole or not at all. The last line may have been cut off.
func parseIndex(r io.Reader) (es []entry, err error) {
	b := bufio.NewReader(r)
	for n := 0; ; n++ {
		line, err := b.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return es, nil
		}
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		if n == 0 {
			if line != indexHead {
				return nil, errIndex
			}
			continue
		}
		e, ok := parseEntry(line)
		if !ok {
			return nil, errIndex
		}
		es = append(es, e)
	}
}

func parseEntry(line string) (e entry, ok bool) {
	fields := strings.Split(line, " ")
	if len(fields) != 3 {
		return e, false
	}
	var errI, errS error
	e.name = fields[0]
	e.inode, errI = strconv.ParseUint(fields[1], 10, 64)
	e.size, errS = strconv.ParseInt(fields[2], 10, 64)
	named := ours().MatchString(e.name) && e.size >= 0 || unfinished().MatchString(e.name) && e.size == unknown
	return e, named && errI == nil && errS == nil
}

// newIndex writes an index of files, in place of the one before, which was believed.
func newIndex(dir *os.Root, path string, es []stored) (*index, error) {
	f, err := outfile.CreateIn(dir, indexName, path, outfile.Private)
	if err != nil {
		return nil, err
	}
	placed := false
	defer func() {
		if !placed {
			f.Discard()
		}
	}()
	var b strings.Builder
	b.WriteString(indexHead + "\n")
	for _, e := range es {
		b.WriteString(e.line())
	}
	if _, err := f.WriteString(b.String()); err != nil {
		return nil, err
	}
	if err := lock(f.File); err != nil {
		return nil, err
	}
	if err := f.Place(); err != nil {
		return nil, err
	}
	placed = true
	return &index{file: f.File, lines: len(es), size: int64(b.Len())}, nil
}

// add notes a file, as a whole line or not at all.
func (x *index) add(e entry) error {
	if x == nil {
		return nil
	}
	line := e.line()
	if _, err := x.file.WriteAt([]byte(line), x.size); err != nil {
		x.file.Truncate(x.size)
		return err
	}
	x.size += int64(len(line))
	x.lines++
	return nil
}

func (x *index) close() {
	if x != nil {
		x.file.Close()
	}
}
