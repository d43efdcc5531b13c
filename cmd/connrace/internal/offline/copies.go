package offline

import (
	"bytes"
	"io"
	"os"
	"slices"
)

// given is a capture that was named.
type given struct {
	os.FileInfo
	path string
	head []byte // how it begins, once that was read
}

// headSize is how much of a capture is compared before the rest: it holds the time of a first frame, by which
// captures differ that are equally long, as rotated ones are.
const headSize = 1 << 12

// givenTwice leaves out files that are named more than once, and of those that are joined copies of others: they are no second point,
// and would prove that what one host shows came from another.
func (s *session) givenTwice(files []string, joined bool) (once []string) {
	bySize := map[int64][]*given{}
	for _, path := range files {
		if st, err := os.Stat(path); path != "-" && err == nil && st.Mode().IsRegular() {
			g := &given{FileInfo: st, path: path}
			known := bySize[st.Size()]
			if slices.ContainsFunc(known, func(o *given) bool { return os.SameFile(o.FileInfo, st) }) {
				s.Warn(path + ": is given twice, and read once")
				continue
			}
			if i := slices.IndexFunc(known, func(o *given) bool { return joined && s.copied(o, g) }); i >= 0 {
				s.Warn(path + ": is a copy of " + known[i].path + ", and not read")
				continue
			}
			bySize[st.Size()] = append(known, g)
		}
		once = append(once, path)
	}
	return once
}

// copied reports whether two files that are equally long are the same, octet by octet. One that cannot be read is not: where it is opened
// for its frames, that is said.
func (s *session) copied(a, b *given) bool {
	for _, g := range [...]*given{a, b} {
		if g.head == nil {
			g.head = begins(g.path)
		}
	}
	if len(a.head) == 0 || !bytes.Equal(a.head, b.head) {
		return false
	}
	x, err := os.Open(a.path)
	if err != nil {
		return false
	}
	defer x.Close() // nothing was written
	y, err := os.Open(b.path)
	if err != nil {
		return false
	}
	defer y.Close()
	var xs, ys [1 << 16]byte
	for !s.Stopped() {
		n, errX := io.ReadFull(x, xs[:])
		m, errY := io.ReadFull(y, ys[:])
		if !bytes.Equal(xs[:n], ys[:m]) {
			return false
		}
		if errX != nil || errY != nil {
			return ended(errX) && ended(errY)
		}
	}
	return false
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// begins is how a file begins; empty: it cannot be read.
func begins(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return []byte{}
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, _ := io.ReadFull(f, head)
	return head[:n]
}
