// Package metrics shows the figures of a live capture to Prometheus, and keeps them for
// whoever else sends them on.
package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Snapshot is how far a live capture has come. All counts are since it began.
type Snapshot struct {
	Packets, Drops         uint64 // taken from the kernel, and dropped by it
	Requests, LostRequests uint64
	FailedConnections      uint64 // that never came to be
	failedTries            uint64 // both
	OpenTries              uint64 // undecided now
	ClientAborts           uint64
	Answers5xx, Undecided  uint64
	Connections            uint64 // in mind now
	SYNRetransmissions     uint64
	EvictedFlows           uint64
	EvictedTargets         uint64
	// Evidence counts files of evidence that were written, EvidenceLost those that could
	// not be, and WriteLost packets that could not be.
	Evidence, EvidenceLost, WriteLost uint64
	Targets                           []Target
}

// Target are the figures of one target.
type Target struct {
	Name        string        // "10.0.0.5:8080" or "unix:/run/app.sock"
	Activity    uint64        // any count that grows while the target is in use
	IdleTimeout time.Duration // as inferred; 0: unknown
	Queue       Queue         // of connections that wait for accept()
}

// Queue is an accept queue. Its fields are valid iff Known.
type Queue struct {
	Len, Limit uint32
	Known      bool
}

// Count counts the findings of a rule at a target.
type Count struct {
	Rule, Target string
	N            uint64
}

// Other is the name under which the targets that have no name of their own are counted
// together.
const Other = "other"

// DefaultTargets is how many targets are told apart if nothing else is said.
const DefaultTargets = 50

const (
	// nameKept is how long a target keeps its name after it was last in use, when another
	// one could use the place.
	nameKept = time.Hour
	// stalledAfter is how old the newest snapshot may be before the capture counts as
	// stuck. It is published several times a second.
	stalledAfter = 10 * time.Second
)

// Store keeps the figures between the loop that captures and those who ask for them. It
// bounds how many targets have a name: hosts see pods come and go for weeks. Its methods
// may be called from everywhere.
type Store struct {
	rules []string
	max   int
	now   func() time.Time

	mu        sync.Mutex
	newest    Snapshot // without targets
	published time.Time
	named     map[string]*named
	other     []uint64          // findings at targets without a name, by rule
	programs  map[string]uint64 // findings about processes of this host, by the program's name
	activity  map[string]uint64 // of all targets of the newest snapshot
}

// named is a target that is told apart.
type named struct {
	Target
	found []uint64 // by rule
	used  time.Time
}

// NewStore makes a store for findings of the given rules that tells apart at most
// maxTargets targets.
func NewStore(rules []string, maxTargets int) *Store {
	return &Store{
		rules: rules, max: maxTargets, now: time.Now, published: time.Now(),
		named: map[string]*named{}, other: make([]uint64, len(rules)), programs: map[string]uint64{},
	}
}

// Finding counts a finding.
func (s *Store) Finding(rule, target string) {
	i := slices.Index(s.rules, rule)
	if i < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.name(target, true); n != nil {
		n.found[i]++
	} else {
		s.other[i]++
	}
}

// mostPrograms is how many programs are told apart: the first that findings are about.
const mostPrograms = 8

// Process counts a finding about a process of this host by the name of its program.
func (s *Store) Process(program string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	program = strings.ToValidUTF8(program, "\uFFFD")
	if _, known := s.programs[program]; !known && len(s.programs) >= mostPrograms {
		program = Other
	}
	s.programs[program]++
}

// Programs yields the names of programs and how many findings are about processes of each.
func (s *Store) Programs() func(yield func(string, uint64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := maps.Clone(s.programs)
	return func(yield func(string, uint64) bool) {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			if !yield(name, counts[name]) {
				return
			}
		}
	}
}

// Publish takes the newest figures. The snapshot is the caller's again afterwards.
func (s *Store) Publish(snap Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	targets := snap.Targets
	snap.Targets = nil
	snap.failedTries = snap.LostRequests + snap.FailedConnections
	snap.keepCounting(&s.newest)
	s.newest, s.published = snap, s.now()
	for _, n := range s.named {
		n.Queue, n.IdleTimeout = Queue{}, 0 // unless it is still there
	}
	before := s.activity
	s.activity = make(map[string]uint64, len(targets))
	for _, t := range targets {
		was, seen := before[t.Name]
		s.activity[t.Name] = t.Activity
		if n := s.name(t.Name, !seen || was != t.Activity); n != nil {
			t.Name = n.Name
			n.Target = t
		}
	}
}

// name finds the place of a target, or gives it one: a free one or, if it is in use, that
// of a target that has long not been. Nil: there is none.
func (s *Store) name(target string, inUse bool) *named {
	now := s.now()
	target = strings.ToValidUTF8(target, "\uFFFD") // the path of a socket can be anything
	n := s.named[target]
	if n == nil {
		if len(s.named) >= s.max && !(inUse && s.dismiss(now)) {
			return nil
		}
		n = &named{Target: Target{Name: target}, found: make([]uint64, len(s.rules)), used: now}
		s.named[target] = n
	}
	if inUse {
		n.used = now
	}
	return n
}

// dismiss takes the name from the target that has been out of use longest.
func (s *Store) dismiss(now time.Time) bool {
	var oldest *named
	for _, n := range s.named {
		if oldest == nil || n.used.Before(oldest.used) {
			oldest = n
		}
	}
	if oldest == nil || now.Sub(oldest.used) < nameKept {
		return false
	}
	delete(s.named, oldest.Name)
	return true
}

// View returns the newest snapshot, with the targets that have a name, and the findings
// of each. Rules without a finding are there with 0, so that the first one shows as an
// increase.
func (s *Store) View() (Snapshot, []Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.newest
	snap.Targets = make([]Target, 0, len(s.named))
	counts := make([]Count, 0, (len(s.named)+1)*len(s.rules))
	add := func(target string, found []uint64) {
		for i, n := range found {
			counts = append(counts, Count{s.rules[i], target, n})
		}
	}
	for _, n := range slices.SortedFunc(maps.Values(s.named), func(a, b *named) int { return strings.Compare(a.Name, b.Name) }) {
		snap.Targets = append(snap.Targets, n.Target)
		add(n.Name, n.found)
	}
	add(Other, s.other)
	return snap, counts
}

// Stalled is for how long the capture has been stuck; 0: it goes on.
func (s *Store) Stalled() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.now().Sub(s.published); d > stalledAfter {
		return d
	}
	return 0
}
