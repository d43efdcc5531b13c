// Package trace is what the kernel itself says of sockets, processes and packets, by tracepoints
// (eBPF): who closes a connection, how a process ends and who killed it, why a segment is dropped
// or a connection reset. The programs are made at run time, for the kernel that there is; each is
// optional, for kernels differ in the tracepoints that they have. What has no room in the ring is
// counted.
//
// They run in the kernel, and call helpers of it that are there only for programs which say that
// their licence fits its own: they are under the GPL, version 2, or the connrace's licence, as you
// like.
package trace

import "connrace/tcpstate"

// Task is a process; PID 0: none, or it is not known.
type Task struct {
	PID, Parent int
	Name        string
	Start       uint64 // as in /proc/PID/stat; 0: not known
	Code        uint32 // how it ended, as wait(2) has it, if it did
}

// Close is that a socket is closed, by the process if one is known.
type Close struct {
	Time          int64
	Local, Remote tcpstate.Endpoint
	Listener      bool
	Task          Task
	Exiting       bool // it is ending
	ByCall        bool // by close(); else by shutdown()
}

// Listen is that a process begins to listen.
type Listen struct {
	Time  int64
	Local tcpstate.Endpoint
	Task  Task
}

// Exit is that a process ends.
type Exit struct {
	Time int64
	Task Task
}

// Signal is that a signal is sent.
type Signal struct {
	Time    int64
	Number  int
	To      int
	ToStart uint64 // as Task.Start
	From    Task
	Kernel  bool // the kernel itself sent it
}

// OOM is that the kernel, out of memory, has chosen a process to end.
type OOM struct {
	Time int64
	PID  int
}

// Drop is that a segment for a watched port is dropped.
type Drop struct {
	Time     int64
	From, To tcpstate.Endpoint
	Seq      tcpstate.Seq
	Flags    uint8  // of TCP
	Reason   string // without SKB_DROP_REASON_
	reason   uint32
}

// Reset is that the host sends an RST.
type Reset struct {
	Time          int64
	Local, Remote tcpstate.Endpoint
	Reason        string // without SK_RST_REASON_
	reason        uint32
}
