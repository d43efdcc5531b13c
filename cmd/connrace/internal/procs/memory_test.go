package procs

import (
	"fmt"
	"runtime"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// numbered is one of many endpoints.
func numbered(i int) tcpstate.Endpoint {
	return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Port: 1}
}

// heap is how much of it is in use, without garbage.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Whatever there is of sockets, processes and events, little memory is taken: also where all that is
// bounded is full, with processes that have nothing in common.
func TestMemory(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	l := at("10.0.0.5:80")
	const many = 1 << 16
	h.listen = []capture.Socket{{Local: l, Inode: 1}}
	for i := range maxConns + 1 {
		h.connect = append(h.connect, capture.Socket{Local: l, Remote: numbered(i), Inode: uint32(i + 2)})
	}
	b := newBook(h.root, h)
	before := heap()
	kept := 0
	step := func(what string) {
		now := heap() - before
		t.Logf("%s: %d kB", what, (now-kept)/1024)
		kept = now
	}
	b.look(sec, true)
	p := &process{}
	for _, h := range b.conns {
		h.by = []*process{p}
	}
	step("connections")
	for i := range many {
		b.keep(process{Process: detect.Process{
			PID: i + 1, Name: fmt.Sprint("process", i), Command: fmt.Sprint("/usr/bin/process", i), Container: fmt.Sprintf("%064x", i), Pod: fmt.Sprintf("%036x", i),
		}, start: 1, groups: fmt.Sprintf("0::/kubepods.slice/%0100x", i)})
		b.end(i+1, 1, detect.Exit{Time: sec})
	}
	step("processes")
	for _, kind := range []struct {
		what string
		of   func(i int, now int64) any
	}{
		{"closes", func(i int, now int64) any {
			return &trace.Close{Time: now, Local: l, Remote: numbered(i), Exiting: true, Task: trace.Task{PID: i + many, Start: 2, Name: fmt.Sprint("closes", i)}}
		}},
		{"drops", func(i int, now int64) any {
			return &trace.Drop{Time: now, From: numbered(i / 20), To: l, Reason: "NETFILTER_DROP"}
		}},
		{"resets", func(i int, now int64) any {
			return &trace.Reset{Time: now, Remote: numbered(i), Local: l, Reason: "NO_SOCKET"}
		}},
		{"signals", func(i int, now int64) any {
			return &trace.Signal{Time: now, Number: 9, To: i, From: trace.Task{PID: i + 2*many, Start: 3, Name: fmt.Sprint("kills", i)}}
		}},
		{"out of memory", func(i int, now int64) any { return &trace.OOM{Time: now, PID: i} }},
		{"listens", func(i int, now int64) any { return &trace.Listen{Time: now, Local: numbered(i)} }},
	} {
		for i := range many {
			b.event(kind.of(i, sec+int64(i)*1e6))
		}
		step(kind.what)
	}
	if len(b.conns) != maxConns || len(b.processes) != maxProcesses || len(b.events.closes.all) != b.events.closes.most {
		t.Error("it is not full")
	}
	if kept > mostKept {
		t.Errorf("%d octets are kept, more than %d", kept, mostKept)
	}
	runtime.KeepAlive(b)
	runtime.KeepAlive(h)
}
