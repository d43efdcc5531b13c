package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// bgzf inflates the members of a gzip file side by side, where they say how long they are: those of BGZF (bgzip). From the first
// one on that is not what it says the file is read as any other is (members), so that what comes of it, and what is
// wrong with it, is the same.
type bgzf struct {
	in    *bufio.Reader
	todo  chan *block // to be inflated
	queue chan *block // all of them, in their order; closed behind the last
	free  chan *block
	quit  chan struct{}
	now   *block // that is being read
	cur   []byte // what is left of it
	err   error  // of reading the file behind them; valid when queue is closed
	rest  *members
}

// block is a member.
type block struct {
	raw, plain []byte
	inflated   chan bool // whether it could be
}

const (
	// bgzfMost is what a member inflates to at most (SAM specification, §4.1).
	bgzfMost = 1 << 16
	// blocksEach is how many members are in memory for each goroutine that inflates them.
	blocksEach = 4
	// blockOctets are those that a block takes at most.
	blockOctets = 2*bgzfMost + 1
)

// newBGZF reads the members of a file and inflates them in so many goroutines.
func newBGZF(in *bufio.Reader, workers int, d *decompressor) *bgzf {
	n := blocksEach * workers
	z := &bgzf{
		in: in, todo: make(chan *block, n), queue: make(chan *block, n), free: make(chan *block, n), quit: make(chan struct{}),
		rest: &members{d: d},
	}
	for range n {
		z.free <- &block{inflated: make(chan bool, 1)}
	}
	for range workers {
		go z.inflate()
	}
	go z.split()
	return z
}

// split reads the members and hands them to those who inflate them.
func (z *bgzf) split() {
	defer close(z.queue)
	defer close(z.todo)
	for {
		var b *block
		select {
		case b = <-z.free:
		case <-z.quit:
			return
		}
		size := memberSize(z.in)
		if size == 0 {
			return
		}
		if cap(b.raw) < size {
			b.raw = make([]byte, bgzfMost)
		}
		n, err := io.ReadFull(z.in, b.raw[:size])
		b.raw = b.raw[:n]
		if n < size {
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				z.err = err
			}
			b.inflated <- false
			z.queue <- b
			return
		}
		z.todo <- b
		z.queue <- b
	}
}

// memberSize is how long the next member is, as BGZF says it in an extra field (RFC 1952 §2.3.1.1); 0: it does not say, or there
// is none.
func memberSize(in *bufio.Reader) int {
	const fixed, extra = 12, 1 << 2
	b, err := in.Peek(fixed)
	if err != nil || b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || b[3] != extra {
		return 0
	}
	length := int(binary.LittleEndian.Uint16(b[10:]))
	if b, err = in.Peek(fixed + length); err != nil {
		return 0
	}
	for f := b[fixed:]; len(f) >= 4; {
		n := int(binary.LittleEndian.Uint16(f[2:]))
		if n > len(f)-4 {
			break
		}
		if f[0] == 'B' && f[1] == 'C' && n == 2 {
			return int(binary.LittleEndian.Uint16(f[4:])) + 1
		}
		f = f[4+n:]
	}
	return 0
}

// inflating is what one goroutine works with, far from what another does: each octet that is read changes it, which would take
// twice as long if both were in one line of the cache.
type inflating struct {
	_  [128]byte
	in bytes.Reader
	r  gzip.Reader
	_  [128]byte
}

// inflate inflates members: each is whole, and inflates to no more than it may, or it is left to others.
func (z *bgzf) inflate() {
	own := new(inflating)
	in, r := &own.in, &own.r
	for b := range z.todo {
		if in.Reset(b.raw); b.plain == nil {
			b.plain = make([]byte, bgzfMost+1)
		}
		b.plain = b.plain[:cap(b.plain)]
		n, err := 0, r.Reset(in)
		for r.Multistream(false); err == nil && n < len(b.plain); {
			var k int
			k, err = r.Read(b.plain[n:])
			n += k
		}
		b.plain = b.plain[:n]
		b.inflated <- errors.Is(err, io.EOF) && in.Len() == 0
	}
}

func (z *bgzf) Read(p []byte) (int, error) {
	for len(z.cur) == 0 {
		if z.rest.in != nil {
			return z.rest.Read(p)
		}
		if z.now != nil {
			z.free <- z.now
			z.now = nil
		}
		b, more := <-z.queue
		if more && <-b.inflated {
			z.now, z.cur = b, b.plain
			continue
		}
		// The rest is what has been read of it, and what has not.
		var raws []io.Reader
		if close(z.quit); more {
			raws = append(raws, bytes.NewReader(b.raw))
			for b := range z.queue {
				raws = append(raws, bytes.NewReader(b.raw))
			}
		}
		if z.err != nil {
			raws = append(raws, failed{z.err})
		}
		z.rest.in = bufio.NewReaderSize(io.MultiReader(append(raws, z.in)...), windowSize)
	}
	n := copy(p, z.cur)
	z.cur = z.cur[n:]
	return n, nil
}

// close ends the goroutines, and waits until nothing is read any more.
func (z *bgzf) close() {
	if z.rest.in == nil {
		close(z.quit)
	}
	for range z.queue {
	}
}

// failed is a reader that has failed.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
