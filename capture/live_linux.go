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

// Live captures from interfaces. It is a Source, except that Read can return 0, nil. Read,
// Stats, Info and Close belong to one goroutine; Wake and Stop may be called by any.
type Live struct {
	opt   LiveOptions
	fd    int
	ring  ring
	links []link
	names map[uint32]string
	pins  *pins // nil: one interface
	info  Info
	stats LiveStats

	gap bool // packets were dropped in front of the next frame
	// doubtful counts the blocks to come in front of each of which packets may have been dropped.
	doubtful int
	checked  time.Time // when the links were looked at
	bounced  bool      // the only one was down for a moment at least
	end      error     // what Read returns once it is empty; nil: it goes on
	endTime  time.Time // when it is

	wake struct {
		sync.Mutex
		fd int // an eventfd; -1: closed
	}
	stop atomic.Bool
}

const (
	// The kernel hands a block over when it is full or blockAge old, full or not. The ring
	// therefore lasts for (ring size / blockSize) x blockAge of a stalled reader at least:
	// 64 MiB in blocks of 256 KiB are 12.8 s. blockAge is also the delay of a finding at
	// low traffic.
	blockSize = 256 << 10
	blockAge  = 50 * time.Millisecond
	// checkEvery is how often the state of named interfaces is asked for, two ioctls each:
	// a message about a link may come that late. checkSoon is how often while one is down,
	// because packets are missed until it is seen to be up.
	checkEvery = time.Second
	checkSoon  = 100 * time.Millisecond
	// maxNames bounds the cache of interface names: indexes of interfaces that come and go
	// (containers) are never used again.
	maxNames = 1 << 16
)

// Read fills batch with the frames that have come. If there are none it waits for one, but
// at most for LiveOptions.Idle or until Wake is called: then it returns 0, nil. After Stop it
// returns the frames that came before, then 0, io.EOF. When no interface is left it ends in
// the same way with an error that names the last of them. Data stays valid until the next
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
	if n := l.fill(batch); n > 0 {
		return n, nil
	}
	for deadline := time.Now().Add(l.opt.Idle); ; {
		now := time.Now()
		l.checkLinks(now)
		l.readStats()
		if l.doubtful > 0 { // nothing is left in the ring that came before
			l.doubtful, l.gap = 0, true
		}
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
		if n := l.fill(batch); n > 0 {
			return n, nil
		}
		if l.stop.Load() {
			l.finish(io.EOF)
		} else if woken || !time.Now().Before(deadline) {
			return 0, nil
		}
	}
}

// fill fills batch from the block that is held, or from the next one that holds a frame to
// deliver. It returns 0 if the kernel has handed over none.
func (l *Live) fill(batch []Frame) int {
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
				l.readStats()
			}
			if l.doubtful > 0 {
				l.doubtful--
				l.gap = true
			}
			l.checkLinks(time.Now())
		}
		for ; n < len(batch) && l.ring.left > 0; n++ {
			f := &batch[n]
			*f = Frame{}
			l.ring.packet(f, l.opt.Snaplen)
			if l.pins != nil && l.pins.isCopy(f) {
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

// delivered updates Info for the frames that Read returns.
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

// readStats adds the kernel's statistics, which reading resets, to Stats. It is called when
// a block says that packets were dropped before it, and while the ring is empty, so that the
// gap is marked at the right frame.
func (l *Live) readStats() {
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
			l.checked, l.bounced = time.Time{}, true
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

// finish lets no more packets in, and makes Read return err when the ring is empty. Packets
// in the ring become readable when their block is blockAge old, which the kernel checks every
// blockAge: 3 x blockAge covers both and its timer's delay.
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

// Stop ends the capture: Read returns what has come, within 3 x blockAge, then io.EOF. It
// may be called by any goroutine.
func (l *Live) Stop() {
	l.stop.Store(true)
	l.Wake()
}

// Stats returns what Read has met so far, and what the kernel has dropped up to now. Drops
// that are asked for before the frames in front of them are read are not placed exactly: each
// block that was in the ring by then, and the next one, may be where packets are missing.
func (l *Live) Stats() LiveStats {
	drops := l.stats.Drops
	l.readStats()
	if l.stats.Drops > drops {
		l.doubtful = len(l.ring.mem)/max(l.ring.block, 1) + 1 // and the one behind them
	}
	return l.stats
}

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
