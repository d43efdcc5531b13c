package recorder

import (
	"errors"
	"sync"
	"time"
)

// Queue writes to a Store in a goroutine of its own: a disk that is slow, or hangs, keeps
// nobody waiting who captures. What waits is bounded.
type Queue struct {
	store *Store
	room  int
	jobs  chan job
	moved chan struct{} // something was written
	ended chan struct{}

	mu      sync.Mutex
	waiting int // bytes
	written []Written

	stuck bool // there was no room for a while; for whoever calls Put, who is one goroutine
}

type job struct {
	id   int
	path string
	data []byte
}

// Written is what became of a file.
type Written struct {
	ID   int
	Path string // which is not always the one that was planned
	Err  error
}

const (
	// maxWaiting bounds how many files may wait.
	maxWaiting = 1 << 10
	// patience is for how long room is waited for: a burst of findings is written within it,
	// and the packets of that time fit into the kernel's ring. A disk that was too slow once is
	// not waited for again before it has made some room.
	patience = 100 * time.Millisecond
)

// ErrSlow says that there is no room in a Queue.
var ErrSlow = errors.New("the disk does not keep up")

// NewQueue makes a queue with room for so many bytes.
func NewQueue(s *Store, room int) *Queue {
	q := &Queue{store: s, room: room, jobs: make(chan job, maxWaiting), moved: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

func (q *Queue) run() {
	defer close(q.ended)
	for j := range q.jobs {
		path, err := q.store.Put(j.path, j.data)
		q.mu.Lock()
		q.waiting -= len(j.data)
		q.written = append(q.written, Written{j.id, path, err})
		q.mu.Unlock()
		select {
		case q.moved <- struct{}{}:
		default:
		}
	}
}

// Put lets a file be written and returns the path that it will have, unless that is taken by
// then: what became of it says Written. id is the caller's own.
func (q *Queue) Put(id int, what string, data []byte) (path string, err error) {
	if !q.reserve(len(data)) {
		return "", ErrSlow
	}
	path = q.store.Name(what)
	q.jobs <- job{id, path, data} // there is room
	return path, nil
}

// Room is how many bytes a file may have.
func (q *Queue) Room() int { return q.room }

// reserve reserves room for a file; false: there is none.
func (q *Queue) reserve(n int) bool {
	var late <-chan time.Time
	for {
		q.mu.Lock()
		fits := q.waiting+n <= q.room && len(q.jobs) < cap(q.jobs)
		if q.stuck && q.waiting > q.room/2 {
			fits = false
		}
		if fits || q.waiting == 0 {
			q.stuck = false
			q.waiting += n
			q.mu.Unlock()
			return true
		}
		q.mu.Unlock()
		if q.stuck {
			return false
		}
		if late == nil {
			late = time.After(patience)
		}
		select {
		case <-q.moved:
		case <-late:
			q.stuck = true
			return false
		}
	}
}

// Written are the files that were written since it was asked for the last time.
func (q *Queue) Written() []Written {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.written
	q.written = nil
	return w
}

// Close ends the queue when all that waits is written.
func (q *Queue) Close() {
	close(q.jobs)
	<-q.ended
}
