package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Live captures from interfaces. It is a Source, but for Read's returning nothing now and
// then. Read, Stats, Info and Close belong to one goroutine.
type Live struct {
	opt   LiveOptions
	fd    int
	ring  ring
	links []link
	names map[uint32]string
	pins  *pins // nil: one interface
	info  Info
	stats LiveStats

	gap     bool      // packets were dropped in front of the next frame
	looked  time.Time // at the links
	bounced bool      // the only one was down for a moment at least
	end     error     // what Read returns once it is empty; nil: it goes on
	endTime time.Time // when it is

	wake struct {
		sync.Mutex
		fd int // an eventfd; -1: closed
	}
	stop atomic.Bool
}

const (
	// blockSize is what a ring is made of: a block is handed over when it is full or
	// blockAge old, so many small blocks outlast a stalled reader however few packets
	// they hold.
	blockSize = 256 << 10
	blockAge  = 50 * time.Millisecond
	// lookEvery is how often named interfaces are looked at, lookSoon while one is down.
	lookEvery = time.Second
	lookSoon  = 100 * time.Millisecond
	maxNames  = 1 << 16
)

// Read fills batch with the frames that are there. It waits for one, but no longer than
// LiveOptions.Idle, nor longer than until Wake is called: then it returns 0, nil. After
// Stop it returns what had come till then, then 0, io.EOF. Where no interface is left, it
// ends likewise with an error that names the last of them. Data stays valid until the next
// Read.
func (l *Live) Read(batch []Frame) (int, error) {
	if len(batch) == 0 {
		return 0, io.ErrShortBuffer
	}
	if l.ring.mem == nil {
		return 0, os.ErrClosed
	}
	if l.stop.Load() {
		l.finish(io.EOF)
	}
	if n := l.take(batch); n > 0 {
		return n, nil
	}
	for deadline := time.Now().Add(l.opt.Idle); ; {
		now := time.Now()
		l.look(now)
		l.count()
		until := deadline
		if l.end != nil {
			if !now.Before(l.endTime) {
				return 0, l.end
			}
			if l.endTime.Before(until) {
				until = l.endTime
			}
		}
		woken, err := l.wait(until.Sub(now))
		if err != nil {
			return 0, err
		}
		if n := l.take(batch); n > 0 {
			return n, nil
		}
		if l.stop.Load() {
			l.finish(io.EOF)
		} else if woken || !time.Now().Before(deadline) {
			return 0, nil
		}
	}
}

// take fills batch from the block that is held, or from the next one that has something.
func (l *Live) take(batch []Frame) int {
	n := 0
	for n == 0 {
		if l.ring.left == 0 {
			if l.ring.held != nil {
				l.ring.release()
			}
			ok, losing := l.ring.acquire()
			if !ok {
				return 0
			}
			if losing {
				l.count()
			}
			l.look(time.Now())
		}
		for ; n < len(batch) && l.ring.left > 0; n++ {
			f := &batch[n]
			*f = Frame{}
			l.ring.packet(f, l.opt.Snaplen)
			if l.pins != nil && l.pins.copied(f) {
				l.stats.Copies++
				n--
				continue
			}
			l.info.Frames++
			f.Number = l.info.Frames
		}
	}
	l.delivered(batch[:n])
	return n
}

// delivered keeps account of frames.
func (l *Live) delivered(batch []Frame) {
	if l.gap {
		batch[0].AfterGap = true
		l.gap = false
	}
	i := &l.info
	if i.First == 0 {
		i.First = batch[0].Time
	}
	for j := range batch {
		f := &batch[j]
		i.Bytes += int64(len(f.Data))
		i.Last = max(i.Last, f.Time)
		if !slices.Contains(i.LinkTypes, f.LinkType) {
			i.LinkTypes = append(i.LinkTypes, f.LinkType)
		}
	}
}

// count adds up the kernel's statistics, which begin at zero each time. They are read when
// a block says that packets were dropped in front of it, and while the ring is empty, so
// that it is known where packets are missing.
func (l *Live) count() {
	s, err := unix.GetsockoptTpacketStatsV3(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return
	}
	l.stats.Packets += uint64(s.Packets)
	l.stats.Drops += uint64(s.Drops)
	l.stats.Freezes += uint64(s.Freeze_q_cnt)
	l.gap = l.gap || s.Drops > 0
	l.info.Drops = l.stats.Drops
}

// wait waits for a block, for Wake, or for d to pass.
func (l *Live) wait(d time.Duration) (woken bool, err error) {
	fds := [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.wake.fd), Events: unix.POLLIN}}
	ms := max(0, int((d+time.Millisecond-1)/time.Millisecond))
	if _, err := unix.Poll(fds[:], ms); err != nil {
		if errors.Is(err, unix.EINTR) {
			return false, nil
		}
		return false, fmt.Errorf("poll: %w", err)
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		code, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			return false, fmt.Errorf("packet socket: %w", err)
		case unix.Errno(code) == unix.ENETDOWN:
			l.looked, l.bounced = time.Time{}, true
		case code != 0:
			return false, fmt.Errorf("packet socket: %w", unix.Errno(code))
		}
	}
	if fds[1].Revents != 0 {
		var b [8]byte
		unix.Read(l.wake.fd, b[:])
		woken = true
	}
	return woken, nil
}

// finish lets in no more packets. Those that are in the ring come out when their block is
// old enough; the kernel looks at that only every blockAge.
func (l *Live) finish(err error) {
	if l.end != nil {
		return
	}
	l.end, l.endTime = err, time.Now().Add(3*blockAge)
	l.attach([]bpf.RawInstruction{{Op: bpfRET}})
}

// Wake makes Read return if it waits. It may be called by any goroutine.
func (l *Live) Wake() {
	l.wake.Lock()
	defer l.wake.Unlock()
	if l.wake.fd >= 0 {
		unix.Write(l.wake.fd, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not 0 in either byte order
	}
}

// Stop ends the capture: Read returns what has come, within about 150 ms, then io.EOF. It
// may be called by any goroutine.
func (l *Live) Stop() {
	l.stop.Store(true)
	l.Wake()
}

// Stats returns what Read has met so far. What the kernel has to say is as of when the
// ring was empty last, or had lost packets.
func (l *Live) Stats() LiveStats { return l.stats }

// Info returns what is known of the capture so far.
func (l *Live) Info() Info {
	info := l.info
	info.LinkTypes = slices.Clone(info.LinkTypes)
	return info
}

// Close releases the ring; Data of frames is no longer valid then.
func (l *Live) Close() error {
	l.wake.Lock()
	defer l.wake.Unlock()
	if l.ring.mem != nil {
		unix.Munmap(l.ring.mem)
		l.ring = ring{}
	}
	for _, fd := range []*int{&l.fd, &l.wake.fd} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	return nil
}
