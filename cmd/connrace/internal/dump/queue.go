package dump

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/text"
)

// Queue writes with a Dump in a goroutine of its own: a disk that is slow, or hangs, keeps
// nobody waiting who captures. What waits is bounded; what does not fit is left out, and
// counted. Its methods belong to one goroutine, but for Lost and Done.
type Queue struct {
	batch *batch // being filled
	jobs  chan *batch
	free  chan *batch
	ended chan struct{}
	name  func(index uint32) string
	named map[uint32]bool // interfaces, whose names the other goroutine has
	stuck bool            // there was no room for a while

	path string
	left atomic.Uint64 // frames that did not fit
	lost atomic.Uint64 // frames that could not be written
	done atomic.Bool

	mu  sync.Mutex
	err error // that nobody was told of

	dump *Dump // of the other goroutine
}

// batch are frames whose Data lies in data, with the names of interfaces that are new.
type batch struct {
	frames []capture.Frame
	data   []byte
	names  map[uint32]string
}

const (
	// maxWaiting bounds how many batches may wait, 8 MB.
	maxWaiting = 8 << 20 / bufferSize
	maxFrames  = bufferSize / 128
	// patience is for how long room is waited for: the packets of that time fit into the
	// kernel's ring, and a burst costs nothing. A disk that was too slow once is not waited for
	// again before it has made some room.
	patience = 100 * time.Millisecond
	// closeWithin is for how long the end waits for a disk.
	closeWithin = 10 * time.Second
)

var errSlow = errors.New("the disk does not keep up")

// NewQueue makes the first file, for a capture that begins at a time, and a queue to it.
func NewQueue(o Options, now int64) (*Queue, error) {
	q := &Queue{
		jobs: make(chan *batch, maxWaiting), free: make(chan *batch, maxWaiting), ended: make(chan struct{}),
		path: o.Path, name: o.Name, named: map[uint32]bool{}, batch: &batch{},
	}
	names := map[uint32]string{}
	o.Name = func(index uint32) string { return names[index] }
	d, err := New(o, now)
	if err != nil {
		return nil, err
	}
	q.dump = d
	go q.run(names)
	return q, nil
}

func (q *Queue) run(names map[uint32]string) {
	defer close(q.ended)
	for b := range q.jobs {
		for index, name := range b.names {
			names[index] = name
		}
		for i := range b.frames {
			q.tell(q.dump.Frame(&b.frames[i]))
		}
		q.tell(q.dump.Flush())
		q.lost.Store(q.dump.Lost)
		q.done.Store(q.dump.Done())
		b.frames, b.data, b.names = b.frames[:0], b.data[:0], nil
		select {
		case q.free <- b:
		default:
		}
	}
}

// tell keeps an error for whoever calls Frame or Flush.
func (q *Queue) tell(err error) {
	if err != nil {
		q.mu.Lock()
		q.err = err
		q.mu.Unlock()
	}
}

// news is an error that was not told yet.
func (q *Queue) news() (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err, q.err = q.err, nil
	return err
}

// Frame takes a frame, whose Data is the caller's again afterwards. It returns an error when
// writing begins to fail, not again until it has worked in between.
func (q *Queue) Frame(f *capture.Frame) error {
	b := q.batch
	if len(b.frames) > 0 && (len(b.frames) == maxFrames || len(b.data)+len(f.Data) > bufferSize) {
		if sent, err := q.send(); !sent {
			q.left.Add(1)
			return err
		}
		b = q.batch
	}
	if !q.named[f.Interface] {
		q.named[f.Interface] = true
		if b.names == nil {
			b.names = map[uint32]string{}
		}
		b.names[f.Interface] = q.name(f.Interface)
	}
	n := len(b.data)
	if n+len(f.Data) > cap(b.data) {
		b.data = make([]byte, 0, max(bufferSize, len(f.Data))) // n is 0, or the frame would not be here
	}
	b.data = append(b.data, f.Data...)
	b.frames = append(b.frames, *f)
	b.frames[len(b.frames)-1].Data = b.data[n:]
	return nil
}

// Flush lets what there is be written. It returns an error when writing begins to fail.
func (q *Queue) Flush() error {
	_, err := q.send()
	return errors.Join(err, q.news())
}

// send hands the batch over if there is room; else it stays.
func (q *Queue) send() (sent bool, err error) {
	if len(q.batch.frames) == 0 || q.stuck && len(q.jobs) > maxWaiting/2 {
		return false, nil
	}
	select {
	case q.jobs <- q.batch:
	default:
		select {
		case q.jobs <- q.batch:
		case <-time.After(patience):
			q.stuck = true
			return false, text.AtPath(q.path, errSlow)
		}
	}
	q.stuck = false
	select {
	case q.batch = <-q.free:
	default:
		q.batch = &batch{}
	}
	return true, nil
}

// Lost counts frames that were not written.
func (q *Queue) Lost() uint64 { return q.left.Load() + q.lost.Load() }

// Done reports whether all files that were asked for are written.
func (q *Queue) Done() bool { return q.done.Load() }

// Close writes what is left and how the capture went. A disk that hangs is waited for, but not
// longer than closeWithin.
func (q *Queue) Close(received, drops uint64, now int64) error {
	late, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	select {
	case q.jobs <- q.batch:
	case <-late.Done():
		q.left.Add(uint64(len(q.batch.frames)))
	}
	q.batch = &batch{}
	close(q.jobs)
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-q.ended
		err = q.dump.Close(received, drops, now)
		q.lost.Store(q.dump.Lost)
	}()
	select {
	case <-ended:
		return err
	case <-late.Done():
	}
	for b := range q.jobs {
		q.left.Add(uint64(len(b.frames)))
	}
	return text.AtPath(q.path, errSlow)
}
