package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var rules = []string{"fin-request-crossing", "syn-dropped"}

// found is the count of a rule's findings at a target; -1: it has no name.
func found(s *Store, rule, target string) int {
	_, counts := s.View()
	for _, c := range counts {
		if c.Rule == rule && c.Target == target {
			return int(c.N)
		}
	}
	return -1
}

func names(s *Store) (out []string) {
	snap, _ := s.View()
	for _, t := range snap.Targets {
		out = append(out, t.Name)
	}
	return out
}

// clocked is a store with a clock of its own.
func clocked(maxTargets int) (*Store, *time.Time) {
	now := time.Unix(1000, 0)
	s := NewStore(rules, maxTargets)
	s.now = func() time.Time { return now }
	s.published = now
	return s, &now
}

func TestTargetsBeyondTheBoundAreCountedTogether(t *testing.T) {
	s := NewStore(rules, 2)
	for i := range 1000 {
		s.Finding("syn-dropped", fmt.Sprintf("10.0.0.1:%d", i))
	}
	s.Finding("syn-dropped", "10.0.0.1:1")
	for target, want := range map[string]int{"10.0.0.1:0": 1, "10.0.0.1:1": 2, "10.0.0.1:2": -1, Other: 998} {
		if got := found(s, "syn-dropped", target); got != want {
			t.Errorf("%s: %d, want %d", target, got, want)
		}
	}
	if n := found(s, "fin-request-crossing", "10.0.0.1:0"); n != 0 {
		t.Errorf("a rule without findings: %d, want 0: the first one must show as an increase", n)
	}
	s.Finding("no-such-rule", "10.0.0.1:0")
	if _, counts := s.View(); len(counts) != 3*len(rules) {
		t.Errorf("%d series: %v", len(counts), counts)
	}
}

func TestNameGoesToWhoUsesIt(t *testing.T) {
	s, now := clocked(2)
	busy := uint64(0)
	publish := func(targets ...string) {
		busy++
		var snap Snapshot
		for _, n := range targets {
			snap.Targets = append(snap.Targets, Target{Name: n, Activity: busy})
		}
		snap.Targets = append(snap.Targets, Target{Name: "idle", Activity: 7})
		s.Publish(snap)
	}
	publish("a", "b")
	publish("a", "b", "c")
	if got := names(s); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("first come, first served: %v", got)
	}
	s.Finding("syn-dropped", "a")
	*now = now.Add(nameKept / 2)
	publish("b")
	*now = now.Add(nameKept/2 - time.Second)
	publish("b", "c")
	if got := names(s); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("a name is kept for an hour: %v", got)
	}
	*now = now.Add(2 * time.Second)
	publish("b", "c")
	if got := names(s); !slices.Equal(got, []string{"b", "c"}) {
		t.Fatalf("then it goes to who is in use, not to who is idle: %v", got)
	}
	if n := found(s, "syn-dropped", Other); n != 0 {
		t.Errorf("%d findings moved to other targets, where they would show as new", n)
	}
}

func TestCountersDoNotRunBackwards(t *testing.T) {
	s := NewStore(rules, 2)
	s.Publish(Snapshot{Packets: 10, Drops: 9, Requests: 8, LostRequests: 7, FailedConnections: 5, ClientAborts: 4, Answers5xx: 3, Undecided: 2, SYNRetransmissions: 6, EvictedFlows: 5, Connections: 4})
	s.Publish(Snapshot{Packets: 11, Connections: 3})
	got, _ := s.View()
	if got.Packets != 11 || got.Drops != 9 || got.Requests != 8 || got.LostRequests != 7 || got.FailedConnections != 5 || got.ClientAborts != 4 || got.Answers5xx != 3 || got.Undecided != 2 || got.SYNRetransmissions != 6 || got.EvictedFlows != 5 {
		t.Errorf("%+v", got)
	}
	if got.Connections != 3 {
		t.Errorf("%d connections; a gauge may fall", got.Connections)
	}
}

func TestFiguresOfTargetsThatAreGoneAreNotShown(t *testing.T) {
	s := NewStore(rules, 2)
	s.Publish(Snapshot{Targets: []Target{{Name: "a", IdleTimeout: time.Second, Queue: Queue{1, 2, true}}}})
	s.Publish(Snapshot{})
	if got, _ := s.View(); len(got.Targets) != 1 || got.Targets[0].Queue.Known || got.Targets[0].IdleTimeout != 0 {
		t.Errorf("%+v", got.Targets)
	}
}

func TestStalled(t *testing.T) {
	s, now := clocked(2)
	*now = now.Add(stalledAfter)
	if d := s.Stalled(); d != 0 {
		t.Errorf("stalled for %s", d)
	}
	*now = now.Add(time.Second)
	if d := s.Stalled(); d != stalledAfter+time.Second {
		t.Errorf("stalled for %s", d)
	}
	s.Publish(Snapshot{})
	if d := s.Stalled(); d != 0 {
		t.Errorf("stalled for %s after a snapshot", d)
	}
}

// The loop that captures publishes while others ask.
func TestConcurrency(t *testing.T) {
	s := NewStore(rules, 3)
	done := make(chan bool)
	go func() {
		defer close(done)
		targets := make([]Target, 5)
		for i := range 200 {
			for j := range targets { // the caller's own, between two snapshots
				targets[j] = Target{Name: fmt.Sprint(j), Activity: uint64(i), Queue: Queue{uint32(i), 128, true}}
			}
			s.Publish(Snapshot{Packets: uint64(i), Targets: targets})
			s.Finding(rules[i%2], fmt.Sprint(i%5))
		}
	}()
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		s.View()
		s.Stalled()
	}
	total := 0
	_, counts := s.View()
	for _, c := range counts {
		total += int(c.N)
	}
	if total != 200 {
		t.Errorf("%d findings, want 200", total)
	}
}

// Programs are told apart as long as they are few: a label must not grow with what runs on a host.
func TestProgramsAreBounded(t *testing.T) {
	s := NewStore(nil, 1)
	for i := range 3 * mostPrograms {
		s.Process(fmt.Sprintf("p%02d", i))
	}
	s.Process("p00")
	s.Process("a\"\n\xff")
	got := map[string]uint64{}
	for name, n := range s.Programs() {
		got[name] = n
	}
	if len(got) != mostPrograms+1 || got["p00"] != 2 || got["p07"] != 1 || got[Other] != 2*mostPrograms+1 {
		t.Errorf("%v", got)
	}
	s = NewStore(nil, 1)
	s.Process("a\"\n\xff")
	if want := "connrace_process_findings_total{process=\"a\\\"\\n\uFFFD\"} 1\n"; !strings.Contains(string(page(s, Build{})), want) {
		t.Errorf("there is no %s in\n%s", want, page(s, Build{}))
	}
}
