// Package share makes copies of captures that may be shown to others: the segments stay, with
// their times, numbers, flags and lengths, and addresses, names and payload are replaced.
//
// A copy is not the capture with parts taken out. It is written anew, from what the decoder
// says of each frame: link headers, tunnels, options of IP and comments, known or not, have no
// way into it, and of TCP's options only those that say something of the connection and nothing
// of anybody (options.go). Of a payload nothing is copied by default: packet.out begins as zeros,
// and an octet comes into it only where a parser here knows what it is, and that others may see
// it (words.go), or knows what to put in its place (secret.go). Octets that are not understood,
// of whatever protocol, in whatever order they come, are zeros.
package share

import (
	"context"
	"errors"
	"io"

	"connrace/capture"
	"connrace/tcpstate"
)

// Result is how a copy came out.
type Result struct {
	Frames   uint64 // copied
	Segments uint64 // of TCP in them
	// Left are segments that were left out: too many, or too long, for one frame.
	Left   uint64
	Damage error // that ended the input; nil: it was read to its end
}

const (
	// A packet waits for what tells the meaning of its octets: the rest of a line, the segment
	// before it. So many packets, with so many octets, wait at most.
	maxQueue  = 4096
	maxQueued = 16 << 20
)

// Copy writes what may be seen of f, which was just opened, to dst as pcapng. The error is one
// of writing, or the end of the context.
func Copy(ctx context.Context, dst io.Writer, f *capture.File) (Result, error) {
	key, err := newSecret()
	if err != nil {
		return Result{}, err
	}
	c := &copier{key: key, table: newTable(key), decoder: capture.NewDecoder()}
	if c.w, err = capture.NewWriter(dst, capture.Section{
		Application: "connrace share", Comments: []string{"Addresses, names and payload are not those that were captured."},
	}); err != nil {
		return c.result, err
	}
	batch := make([]capture.Frame, 64)
	for {
		n, err := f.Read(batch)
		if c.result.Frames == 0 {
			if err := c.begin(f.Info()); err != nil {
				return c.result, err
			}
		}
		for i := range batch[:n] {
			if err := c.frame(&batch[i]); err != nil {
				return c.result, err
			}
		}
		if ctx.Err() != nil {
			return c.result, ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				c.result.Damage = err
			}
			return c.result, c.end(f.Info())
		}
	}
}

// copier is a copy being written.
type copier struct {
	key     *secret
	w       *capture.Writer
	decoder *capture.Decoder
	table   *table
	segs    [1]tcpstate.Segment
	wlan    uint32 // the interface of frames with several segments; 0: none yet
	buf     []byte
	queue   []*packet // in the order of the capture, the first not written yet
	queued  int       // octets of their payloads
	begun   bool
	result  Result
}

// begin declares the interface, once something is known of the capture's.
func (c *copier) begin(i capture.Info) error {
	if c.begun {
		return nil
	}
	c.begun = true
	_, err := c.w.AddInterface(capture.Interface{LinkType: capture.LinkEthernet, Snaplen: i.Snaplen, Resolution: 9})
	return err
}

// frame takes a frame into the queue and writes those that need not wait any longer.
func (c *copier) frame(f *capture.Frame) error {
	p := &packet{time: f.Time, length: f.Length}
	c.result.Frames++
	segs, options := c.decoder.DecodeOptions(f, c.segs[:0])
	for i := range segs {
		q := p
		if i > 0 {
			q = &packet{time: f.Time}
			p.more = append(p.more, q)
		}
		c.result.Segments++
		q.set(&segs[i], options[i])
		c.queued += len(q.raw)
		if len(q.raw) > 0 || q.seg.Flags&tcpstate.SYN != 0 {
			c.table.add(q)
		}
	}
	c.queue = append(c.queue, p)
	return c.write(false)
}

// write writes the packets at the head of the queue that wait for nothing, and all that are too
// many; last: all of them.
func (c *copier) write(last bool) error {
	done := 0
	for _, p := range c.queue {
		if p.held() {
			if !last && len(c.queue)-done <= maxQueue && c.queued <= maxQueued {
				break
			}
			p.release()
		}
		if err := c.put(p); err != nil {
			return err
		}
		for q := range p.all() {
			c.queued -= len(q.raw)
		}
		done++
	}
	clear(c.queue[:done])
	if c.queue = c.queue[done:]; len(c.queue) == 0 {
		c.queue = nil
	}
	return nil
}

// put writes a packet.
func (c *copier) put(p *packet) (err error) {
	o := capture.Packet{Time: p.time}
	if len(p.more) == 0 {
		c.buf = p.build(c.buf[:0], c.key)
	} else {
		if c.wlan == 0 {
			if c.wlan, err = c.w.AddInterface(capture.Interface{LinkType: capture.LinkIEEE80211, Resolution: 9}); err != nil {
				return err
			}
		}
		left := 0
		c.buf, left = p.aggregate(c.buf[:0], c.key)
		c.result.Left += uint64(left)
		c.result.Segments -= uint64(left)
		o.Interface = c.wlan
	}
	o.Data, o.Length = c.buf, max(p.wire, uint32(len(c.buf)))
	return c.w.Packet(&o)
}

// end writes what still waits, and how many packets the capture says it has lost: what is
// certain depends on it.
func (c *copier) end(i capture.Info) error {
	if err := c.write(true); err != nil {
		return err
	}
	if !i.DropsKnown {
		return nil
	}
	return c.w.Statistics(&capture.Statistics{Time: i.Last, Received: c.result.Frames, OSDropped: i.Drops})
}
