package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync/atomic"
)

// ReadOptions say how a capture is read.
type ReadOptions struct {
	// Resync goes on behind damage: the reader looks for the next records that make
	// sense, marks the first of them with Frame.AfterGap and notes the gap in Info.
	Resync bool
	// Ahead is how many octets of a compressed file are inflated ahead, about, in a goroutine of
	// its own that begins at once; 0: none. Close ends it. It is for files: a pipe may not end.
	Ahead int
	// Workers is how many goroutines inflate what can be inflated side by side, which takes more than one, at most, and
	// 512 KiB of Ahead for each.
	Workers int
}

// Info is what a File knows about the capture so far.
type Info struct {
	Format      string     // "pcap", "pcapng" or "snoop"
	Compression string     // "", "gzip", "zstd" or "lz4"
	LinkTypes   []LinkType // of the interfaces, in the order they were declared
	Snaplen     uint32     // the largest of the interfaces; 0 where one is not limited
	Frames      uint64     // delivered
	Bytes       int64      // consumed, of the uncompressed stream
	First, Last int64      // earliest and latest Frame.Time; 0 where no frame had one
	Drops       uint64     // packets that the capturing system says it lost
	DropsKnown  bool       // whether it says so (pcapng interface statistics)
	Comments    bool       // some packet has one (pcapng): see Remarked
	Gaps        []Gap      // the first thousand, only with ReadOptions.Resync
	GapCount    int
	GapBytes    int64
	Warnings    []string
}

// container reads the records of one file format from a window.
type container interface {
	// next fills batch with the frames that are complete in the window, numbered from
	// number on. If not even one is complete it returns 0 and how many unread bytes it
	// wants, or a *DamageError about the record at w.pos.
	next(w *window, batch []Frame, number uint64) (n, want int, err error)

	// starts reports whether b begins with records that make sense; ended tells that no
	// bytes follow it.
	starts(b []byte, ended bool) bool

	// fill adds to info what the container knows.
	fill(info *Info)

	// clone is a copy that reads on by itself.
	clone() container

	// learnt changes whenever records have said how those behind them are read.
	learnt() int
}

// File reads a capture from a file or a stream. It is a Source.
type File struct {
	name     string
	opt      ReadOptions
	w        window
	c        container
	info     Info
	err      error // what Read will go on to return
	timed    bool  // info.First and info.Last hold
	afterGap bool
	raw      *counter
	stream   *decompressor // nil: not compressed
	places   *Places       // nil: not noted
	visit    *ranged       // nil: it is read from its beginning
	begins   *firstFrame   // what is read next, if that is known
}

// pathless replaces "open PATH: reason" by "PATH: reason", as everything else reads.
func pathless(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// NewFile reads a capture from r, which may be a pipe that still grows. name is for error
// messages. It returns as soon as the file header has come in; r is the caller's to close.
func NewFile(name string, r io.Reader, opt ReadOptions) (*File, error) {
	f := &File{name: name, opt: opt, raw: &counter{r: r, size: -1}}
	seeker, ok := r.(io.Seeker)
	if ok {
		_, err := seeker.Seek(0, io.SeekCurrent)
		ok = err == nil
	}
	if h, is := r.(*os.File); is && ok {
		if st, err := h.Stat(); err == nil && st.Mode().IsRegular() {
			f.raw.size = st.Size()
		}
	}
	f.w = newWindow(f.raw)
	if err := f.open(!ok); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open recognises compression and container. pipe: bytes may take their time to come.
func (f *File) open(pipe bool) error {
	if err := f.decompress(); err != nil {
		return err
	}
	w := &f.w
	if !w.need(4) {
		return f.unrecognized()
	}
	var err error
	switch magic := [4]byte(w.unread()); {
	case magic == pcapngMagic:
		f.info.Format = "pcapng"
		f.c, err = openPcapng(w, f.opt.Resync)
	case isPcap(magic):
		f.info.Format = "pcap"
		f.c, err = openPcap(w, pipe, f.opt.Resync)
	case string(magic[:]) == snoopMagic[:4] && isSnoop(w):
		f.info.Format = "snoop"
		f.c, err = openSnoop(w)
	default:
		return f.unrecognized()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// Read implements Source. It waits for the input only while not a single frame is
// complete.
func (f *File) Read(batch []Frame) (int, error) {
	if len(batch) == 0 {
		return 0, io.ErrShortBuffer
	}
	for f.err == nil {
		n, want, err := f.c.next(&f.w, batch, f.info.Frames+1)
		if n > 0 && f.begins != nil {
			if *f.begins != (firstFrame{batch[0].Offset, batch[0].Time, batch[0].Length}) {
				f.err = errChanged
				break
			}
			f.begins = nil
		}
		if n > 0 {
			f.w.delivered()
			f.delivered(batch[:n])
			return n, nil
		}
		if err == nil {
			if f.w.more(want) {
				continue
			}
			err = f.ended()
		}
		var d *DamageError
		if errors.As(err, &d) {
			f.damage(d)
			if f.opt.Resync && f.resync(d) {
				continue
			}
		}
		f.err = err
	}
	return 0, f.err
}

// Keep lets the Data of frames stay valid for n more calls of Read than it does otherwise,
// beginning with those that the last call returned.
func (f *File) Keep(n int) {
	if f.w.keep = uint64(n); n == 0 {
		f.w.out = nil
	}
}

// delivered keeps account of the frames that Read returns.
func (f *File) delivered(batch []Frame) {
	if f.afterGap {
		batch[0].AfterGap = true
		f.afterGap = false
	}
	f.info.Frames += uint64(len(batch))
	first, last := timesOf(batch)
	if f.places != nil {
		f.places.delivered(f, batch, first, last)
	}
	switch {
	case last == math.MinInt64:
	case f.timed:
		f.info.First, f.info.Last = min(f.info.First, first), max(f.info.Last, last)
	default:
		f.timed = true
		f.info.First, f.info.Last = first, last
	}
}

// timesOf are the first and the last time of frames, those without one aside; there are none where the first
// is behind the last. Mostly they are those of the first frame and the last, and all others lie between.
func timesOf(batch []Frame) (first, last int64) {
	first, last = batch[0].Time, batch[len(batch)-1].Time
	if first == 0 || last == 0 || last < first {
		first, last = math.MaxInt64, math.MinInt64
	}
	for i := range batch {
		if t := batch[i].Time; t < first || t > last {
			if t != 0 {
				first, last = min(first, t), max(last, t)
			}
		}
	}
	return first, last
}

// Info returns what is known of the capture so far.
func (f *File) Info() Info {
	info := f.info
	info.Bytes = f.w.offset()
	info.Gaps = slices.Clone(info.Gaps)
	if f.stream != nil && f.stream.trailing.Load() {
		info.Warnings = append(info.Warnings, "what follows the "+f.stream.name+" data was ignored")
	}
	f.c.fill(&info)
	if info.GapCount > 0 {
		first := info.Gaps[0]
		where := fmt.Sprintf("behind frame %d, byte %d", first.After, first.Offset)
		if info.GapCount > 1 {
			where = "the first " + where
		}
		info.Warnings = append(info.Warnings, fmt.Sprintf("%s skipped at %s (%s); Wireshark reads nothing behind it, and has no numbers for that",
			plural(info.GapBytes, "byte"), plural(int64(info.GapCount), "damaged place"), where))
	}
	for i := range info.Warnings {
		info.Warnings[i] = f.name + ": " + info.Warnings[i]
	}
	return info
}

// Progress returns how many bytes of the underlying file, compressed as it may be, have
// been read, and its size, -1 where it has none. It may be called while Read runs.
func (f *File) Progress() (read, size int64) {
	return f.raw.n.Load(), f.raw.size
}

// Close releases the decompressor.
func (f *File) Close() {
	if f.err == nil {
		f.err = fs.ErrClosed
	}
	f.stream.close()
}

// counter counts the bytes read for Progress.
type counter struct {
	r    io.Reader
	n    atomic.Int64
	size int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
