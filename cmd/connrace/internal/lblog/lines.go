package lblog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"sync"
	"time"
)

const (
	// maxLine is how much of a line is looked at. ALB cuts none, but URLs of more than
	// 16 KiB and user agents of more than 8 KiB do not get that far.
	maxLine = 64 << 10
	// undecided is how many lines, and undecidedOctets how much of one that does not end,
	// may pass before one tells the kind of log.
	undecided       = 10000
	undecidedOctets = 64 << 20
)

// File is a log that was read.
type File struct {
	Path    string
	Kind    Kind
	Lines   int // of any form
	Entries int // lines of the log's form
	Failed  int
	Warning string // why it was not read to its end; may be empty
	Error   string // why nothing of it was read; may be empty
	guessed bool   // the lines told the kind
}

// ErrUnrecognised is the error for what is no log of a known kind.
var ErrUnrecognised = errors.New("no line has the usual form of a log of " + Products("or"))

// read reads a log, plain or gzip, of a kind or of the kind that its first lines tell,
// and calls keep with each failed entry, whose strings are valid during the call only.
func (f *File) read(ctx context.Context, r io.Reader, zone *time.Location, keep func(*Entry)) error {
	in := bufio.NewReaderSize(r, maxLine)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // RFC 1952 §2.3.1
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, maxLine)
	}
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			f.Lines++
			f.line(string(bytes.TrimRight(line, "\r\n")), zone, keep)
		}
		for n := 0; errors.Is(err, bufio.ErrBufferFull) && ctx.Err() == nil; { // the rest of a long line
			if n += maxLine; n > undecidedOctets && f.Entries == 0 {
				return f.verdict()
			}
			_, err = in.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			return f.verdict()
		case errors.Is(err, bufio.ErrBufferFull):
			f.Warning = fmt.Sprintf("interrupted in line %d", f.Lines)
			return nil
		case err != nil && f.Entries > 0:
			f.Warning = fmt.Sprintf("read up to line %d only: %v", f.Lines, err)
			return nil
		case err != nil:
			return err
		case f.Lines%1024 == 0 && ctx.Err() != nil:
			f.Warning = fmt.Sprintf("interrupted after line %d", f.Lines)
			return nil
		case f.Entries == 0 && f.Lines >= undecided:
			return f.verdict()
		}
	}
}

func (f *File) verdict() error {
	switch {
	case f.Entries > 0, f.Lines == 0:
		return nil
	case f.Kind != Unknown:
		return fmt.Errorf("no line has the form of %s (%s)", f.Kind, f.Kind.Title())
	}
	return ErrUnrecognised
}

func (f *File) line(s string, zone *time.Location, keep func(*Entry)) {
	e, ok := f.parse(s, zone)
	if !ok {
		return
	}
	f.Entries++
	if e == nil {
		return
	}
	f.Failed++
	e.Line, e.sum = f.Lines, crc64.Checksum([]byte(s), crcTable())
	keep(e)
}

var crcTable = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64.ECMA) })

// parse parses a line; the first that a parser takes decides the kind. A container's output may have the error log and the
// access log of a load balancer, one among the other.
func (f *File) parse(s string, zone *time.Location) (*Entry, bool) {
	if f.Kind != Unknown {
		e, ok := kinds[f.Kind].parse(s, zone)
		for k := Unknown + 1; !ok && f.guessed && k < nKinds; k++ {
			if f.Kind.Family() != "" && k.Family() == f.Kind.Family() && k != f.Kind {
				e, ok = kinds[k].parse(s, zone)
			}
		}
		return e, ok
	}
	for k := Unknown + 1; k < nKinds; k++ {
		if e, ok := kinds[k].parse(s, zone); ok {
			f.Kind, f.guessed = k, true
			return e, true
		}
	}
	return nil, false
}
