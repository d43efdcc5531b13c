package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// zstdWindow is the largest window that is accepted, the default of `zstd -d`.
const zstdWindow = 128 << 20

// decompressor is the plain content of a compressed stream.
type decompressor struct {
	name     string
	r        io.Reader
	release  func()
	ahead    *readAhead
	trailing atomic.Bool // the input goes on behind the compressed data

	inflaters int // goroutines that inflate it side by side; 0: nothing is
}

// decompress puts a decompressor in front of the window where the stream starts with the
// magic number of one.
func (f *File) decompress() error {
	f.w.need(4)
	var name string
	switch b := f.w.unread(); {
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		name = "gzip"
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")), len(b) >= 4 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18":
		name = "zstd" // or one of its skippable frames, RFC 8878 §3.1.2
	case bytes.HasPrefix(b, []byte("\x04\x22\x4d\x18")):
		name = "lz4"
	default:
		return nil
	}
	d, err := newDecompressor(name, bufio.NewReaderSize(
		io.MultiReader(bytes.NewReader(bytes.Clone(f.w.unread())), f.raw), windowSize), f.opt)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", f.name, name, err)
	}
	f.stream = d
	f.info.Compression = name
	f.w = newWindow(d)
	if f.opt.Ahead > 0 {
		d.ahead = newReadAhead(d, f.opt.Ahead)
		f.w = newWindow(d.ahead)
	}
	return nil
}

func newDecompressor(name string, r *bufio.Reader, opt ReadOptions) (*decompressor, error) {
	d := &decompressor{name: name}
	switch name {
	case "gzip":
		// As many as there is room for.
		if n := min(opt.Workers, opt.Ahead/(blocksEach*blockOctets)); n > 1 && memberSize(r) > 0 {
			z := newBGZF(r, n, d)
			d.r, d.release, d.inflaters = z, z.close, n
			break
		}
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		d.r = &members{in: r, z: z, d: d}
	case "zstd":
		z, err := zstd.NewReader(r,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxMemory(zstdWindow),
			zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		d.r, d.release = z, z.Close
	case "lz4":
		d.r = lz4.NewReader(r)
	}
	return d, nil
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	switch {
	case err == nil, err == io.EOF, strings.HasPrefix(err.Error(), d.name):
	case err == io.ErrUnexpectedEOF:
		err = fmt.Errorf("%s data cut off: %w", d.name, err)
	default:
		err = fmt.Errorf("%s: %w", d.name, err)
	}
	return n, err
}

// Inflaters is how many goroutines inflate the file beside who reads it.
func (f *File) Inflaters() int {
	if f.stream == nil || f.stream.ahead == nil {
		return 0
	}
	return max(f.stream.inflaters, 1)
}

func (d *decompressor) close() {
	if d == nil {
		return
	}
	d.ahead.close()
	if d.release != nil {
		d.release()
	}
}

// members reads the members of a gzip file one after the other. Like gzip(1) and unlike
// gzip.Reader it ends at anything else behind a member (tape blocks are filled up with
// zeros).
type members struct {
	in *bufio.Reader
	z  *gzip.Reader // nil: none is being read
	d  *decompressor
}

func (m *members) Read(p []byte) (int, error) {
	for {
		if m.z != nil {
			n, err := m.z.Read(p)
			if n > 0 {
				if err == io.EOF {
					err = nil // comes again
				}
				return n, err
			}
			if err != io.EOF {
				return 0, err
			}
		}
		magic, err := m.in.Peek(2)
		if len(magic) == 0 {
			return 0, err
		}
		if string(magic) != "\x1f\x8b" {
			m.d.trailing.Store(true)
			return 0, io.EOF
		}
		if m.z == nil {
			m.z = new(gzip.Reader)
		}
		if err := m.z.Reset(m.in); err != nil {
			return 0, noEOF(err)
		}
		m.z.Multistream(false)
	}
}

// noEOF keeps an end in the middle of something from passing for the end of all.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
