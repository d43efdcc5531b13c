package capture

import (
	"errors"
	"fmt"
	"io"
)

// DamageError says where a capture stopped being readable. The frames before that place
// have been delivered.
type DamageError struct {
	File   string
	Offset int64  // of the record in the uncompressed stream
	Frame  uint64 // number that the record would have had
	Reason string
	Err    error // io.ErrUnexpectedEOF where the file is cut off; else what the reader said, or nil
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: %s (frame %d, byte %d)", e.File, e.Reason, e.Frame, e.Offset)
}

func (e *DamageError) Unwrap() error { return e.Err }

// Gap is a damaged place that was skipped because of ReadOptions.Resync.
type Gap struct {
	Offset int64  // of the first skipped byte in the uncompressed stream
	Bytes  int64  // skipped
	After  uint64 // number of the last frame before the gap
	Reason string
}

// maxGaps bounds Info.Gaps: a file of nothing but damage does not fill the memory.
const maxGaps = 1000

// reach is how many bytes a search for the next record wants to see before it decides: at
// least up to the header behind the largest record (maxPacket).
const reach = 384 << 10

// damaged makes the error for a record that cannot be read; what it does not know is
// filled in by atOffset and by File.damage.
func damaged(format string, args ...any) error {
	return &DamageError{Reason: "damaged: " + fmt.Sprintf(format, args...)}
}

// atOffset sets the offset of the record that err is about.
func atOffset(offset int64, err error) error {
	var d *DamageError
	if errors.As(err, &d) {
		d.Offset = offset
	}
	return err
}

// ended tells what it means that the stream has no more bytes.
func (f *File) ended() error {
	w := &f.w
	n := int64(w.end-w.pos) + w.elided
	d := &DamageError{Offset: w.offset()}
	switch {
	case w.err != io.EOF:
		d.Reason, d.Err = w.err.Error(), w.err
	case n > 0:
		d.Reason, d.Err = "cut off: only "+plural(n, "byte")+" of the last record", io.ErrUnexpectedEOF
	default:
		return io.EOF
	}
	return d
}

// damage completes d with what the File knows.
func (f *File) damage(d *DamageError) {
	d.File = f.name
	d.Frame = f.info.Frames + 1
}

// resync looks behind the damage d for records that make sense and moves there. It
// returns false where there are none up to the end.
func (f *File) resync(d *DamageError) bool {
	w := &f.w
	if w.pos == w.end {
		return false
	}
	start := w.offset()
	w.pos++
	for {
		ended := w.err != nil
		for ; w.pos < w.end && (ended || w.end-w.pos >= reach); w.pos++ {
			if f.c.starts(w.unread(), ended) {
				f.skipped(start, d.Reason)
				return true
			}
		}
		if ended {
			return false
		}
		w.more(windowMax)
	}
}

// skipped notes the gap from an offset to here.
func (f *File) skipped(start int64, reason string) {
	g := Gap{Offset: start, Bytes: f.w.offset() - start, After: f.info.Frames, Reason: reason}
	f.afterGap = true
	f.info.GapCount++
	f.info.GapBytes += g.Bytes
	if len(f.info.Gaps) < maxGaps {
		f.info.Gaps = append(f.info.Gaps, g)
	}
}

// plural writes "1 byte", "2 bytes".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
