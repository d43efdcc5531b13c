// Package dump writes what is captured to pcapng files that are rotated as tcpdump's.
package dump

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/text"
)

// Options say where to write and when to begin another file, as tcpdump's -w, -C, -G and
// -W do.
type Options struct {
	Path    string
	Size    int64         // of a file, in bytes, after which the next begins; 0: it has no limit
	Every   time.Duration // the age of one; 0: no limit
	Files   int           // with Size a ring of so many; with Every the end after so many; 0: no limit
	Zone    *time.Location
	Section capture.Section
	Snaplen uint32
	// Name is what an interface is called.
	Name func(index uint32) string
	// Umask is what others may not do with the files.
	Umask outfile.Umask
}

// Dump writes frames to files. Of what it has written the file ends with a whole block at
// any time, also where the disk is full: then frames are left out, and counted.
type Dump struct {
	o      Options
	file   file
	name   string // of file
	format *capture.Writer
	links  map[link]uint32
	begun  int64 // time of the frame that began the file
	part   int   // of a time slice, of a ring
	slices int   // begun by -G
	wrote  int64 // bytes in the file
	head   []byte
	body   []byte
	count  uint64 // frames in body
	// Lost counts frames that could not be written.
	Lost uint64
	err  error // why, since the last one that could; nil: it can
	done bool
}

// file is what an os.File can do.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// link is an interface as a file declares it.
type link struct {
	iface uint32
	kind  capture.LinkType
}

// bufferSize is how much is written at once.
const bufferSize = 256 << 10

// New makes the first file, for a capture that begins at a time.
func New(o Options, now int64) (*Dump, error) {
	d := &Dump{o: o, body: make([]byte, 0, bufferSize+bufferSize/4)}
	d.begin(now)
	if d.err == nil {
		d.Flush()
	}
	return d, d.err
}

// Write takes the bytes of the block writer: a block at a time. What declares something
// goes first, and is kept until it is written.
func (d *Dump) Write(block []byte) (int, error) {
	const enhanced = 6
	if len(block) >= 4 && block[0] == enhanced && block[1]|block[2]|block[3] == 0 {
		d.body = append(d.body, block...)
	} else {
		d.head = append(d.head, block...)
	}
	return len(block), nil
}

// Frame takes a frame. It returns an error when writing begins to fail, not again until it
// has worked in between.
func (d *Dump) Frame(f *capture.Frame) error {
	if d.done {
		return nil
	}
	var err error
	d.begun = min(d.begun, f.Time) // the clock may be set back
	if d.o.Every > 0 && f.Time-d.begun >= int64(d.o.Every) {
		err = d.Flush()
		d.slices++
		if d.o.Size == 0 && d.o.Files > 0 && d.slices >= d.o.Files {
			d.done = true
			return err
		}
		d.part = 0
		d.begin(f.Time)
	} else if d.o.Size > 0 && d.wrote+int64(len(d.head)+len(d.body)) > d.o.Size {
		err = d.Flush()
		d.part++
		if d.o.Files > 0 && d.o.Every == 0 {
			d.part %= d.o.Files
		}
		d.begin(d.begun)
	}
	k := link{f.Interface, f.LinkType}
	id, known := d.links[k]
	if !known {
		id, _ = d.format.AddInterface(capture.Interface{
			LinkType: f.LinkType, Snaplen: d.o.Snaplen, Name: d.o.Name(f.Interface), Resolution: 9,
		})
		d.links[k] = id
	}
	// It does not fail: Write takes everything.
	d.format.Packet(&capture.Packet{Interface: id, Time: f.Time, Data: f.Data, Length: f.Length, Flags: uint32(f.Direction)})
	d.count++
	if len(d.body) >= bufferSize {
		err = errors.Join(err, d.Flush())
	}
	return err
}

// Done reports whether all files that were asked for are written.
func (d *Dump) Done() bool { return d.done }

// begin begins a file; where it cannot be made, frames get lost until one can.
func (d *Dump) begin(now int64) {
	d.close()
	d.begun, d.wrote = now, 0
	d.links = map[link]uint32{}
	d.head, d.body, d.count = d.head[:0], d.body[:0], 0
	d.format, _ = capture.NewWriter(d, d.o.Section)
	d.open()
}

func (d *Dump) open() {
	d.name = d.path()
	f, err := outfile.Create(d.name, d.o.Umask)
	if err == nil {
		err = f.Place() // what grows can be read
	}
	if err != nil {
		d.err = err
		return
	}
	d.file = f.File
}

// path is the name of the current file, as tcpdump makes it (MakeFilename).
func (d *Dump) path() string {
	path := d.o.Path
	if d.o.Every > 0 {
		path = strftime(path, time.Unix(0, d.begun).In(d.o.Zone))
	}
	switch {
	case d.o.Size > 0 && d.o.Files > 1:
		return fmt.Sprintf("%s%0*d", path, len(strconv.Itoa(d.o.Files-1)), d.part)
	case d.o.Size > 0 && d.part > 0:
		return path + strconv.Itoa(d.part)
	}
	return path
}

// Flush writes what is buffered. It returns an error when writing begins to fail.
func (d *Dump) Flush() error {
	if len(d.head) == 0 && len(d.body) == 0 {
		return nil
	}
	failed := d.err != nil
	if d.file == nil {
		d.open()
	}
	if d.file != nil {
		d.err = d.flush()
	}
	if d.err == nil {
		d.count = 0
	}
	d.Lost += d.count
	d.body, d.count = d.body[:0], 0
	if d.err != nil && !failed {
		return d.err
	}
	return nil
}

// flush writes whole blocks or nothing.
func (d *Dump) flush() error {
	n := int64(len(d.head) + len(d.body))
	_, err := d.file.WriteAt(d.head, d.wrote)
	if err == nil {
		_, err = d.file.WriteAt(d.body, d.wrote+int64(len(d.head)))
	}
	if err != nil {
		d.file.Truncate(d.wrote)
		return text.AtPath(d.name, err)
	}
	d.wrote += n
	d.head = d.head[:0]
	return nil
}

func (d *Dump) close() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// Close writes what is left and how the capture went.
func (d *Dump) Close(received, drops uint64, now int64) error {
	err := d.Flush()
	if len(d.links) > 0 && !d.done {
		d.format.Statistics(&capture.Statistics{Time: now, End: now, Received: received, OSDropped: drops})
		err = errors.Join(err, d.Flush())
	}
	if d.err != nil {
		err = d.err
	}
	d.close()
	return err
}
