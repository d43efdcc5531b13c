package detect

import (
	"runtime"
	"testing"
	"unsafe"

	"connrace/tcpstate"
)

// inUse is how much is in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A scan's targets cost next to nothing: 512 octets each with their places in the tables,
// besides the connections.
func TestQuietTargetsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(target{}); n > 320 {
		t.Errorf("a target has %d octets", n)
	}
	const n = DefaultMaxTargets
	before := inUse()
	d := New(Options{})
	for i := range uint64(n) {
		to := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), Port: 80}
		t := d.targets.at(to)
		t.noteLB(tcpstate.Addr{Lo: 1})
		t.syns.Add(recentSYN{})
	}
	if each := (inUse() - before) / n; each > 512 {
		t.Errorf("%d octets for each of %d targets", each, n)
	}
	runtime.KeepAlive(d)
}

// What a capture full of findings takes is theirs: each has some three segments of evidence.
func TestFindingsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(Evidence{}); n > 88 {
		t.Errorf("a segment of evidence has %d octets", n)
	}
	if n := unsafe.Sizeof(Finding{}); n > 640 {
		t.Errorf("a finding has %d octets", n)
	}
}

// What is told of evidence is not told of its copies.
func TestToldOfCopies(t *testing.T) {
	var e Evidence
	e.SetComment("a")
	c := e
	c.SetSeen([]Seen{{Point: 1}})
	c.SetComment("b")
	if e.Comment() != "a" || e.Seen() != nil || c.Comment() != "b" || len(c.Seen()) != 1 {
		t.Errorf("%q, %v; the copy: %q, %v", e.Comment(), e.Seen(), c.Comment(), c.Seen())
	}
}

// Targets beyond the bound take the places of those that have said nothing, if their
// connections are gone; of a file no other is given up. No connection is lost count of.
func TestMaxTargets(t *testing.T) {
	for _, live := range []bool{false, true} {
		d := New(Options{MaxTargets: 100, Live: live})
		end := func(i int) tcpstate.Endpoint {
			return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{11, 0, byte(i >> 8), byte(i)}), Port: 80}
		}
		for i := range 1000 {
			target := d.targets.at(end(i))
			target.connections++
			target.used = int64(i)
			if i == 7 {
				target.tell().reused(second)
			}
		}
		sum, told := uint64(0), false
		for _, x := range d.figures() {
			sum += x.Connections
			told = told || x.Target == end(7) && x.LongestReuse.Known
		}
		n := d.counts()
		if sum != 1000 || len(d.targets.all) != 101 || n.EvictedTargets != 900 || n.MergedConnections != 900 {
			t.Errorf("live %v: %d connections of %d targets, %d evicted, %d merged", live, sum, len(d.targets.all), n.EvictedTargets, n.MergedConnections)
		}
		if !told {
			t.Errorf("live %v: one that had something to say was given up for a quiet one", live)
		}
	}
}
