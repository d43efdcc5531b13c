package trace

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// openHere watches this network namespace until the test ends, where that can be had.
func openHere(t *testing.T) *Tracer {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		t.Skip("no namespaces here: ", err)
	}
	tr, err := Open(uint32(st.Ino))
	if err != nil {
		t.Skip("no kernel events here: ", err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// What happens on a connection of this process and to its children is told, by this kernel.
func TestTracer(t *testing.T) {
	tr := openHere(t)
	t.Log("seen: ", tr.Sees, "; not: ", tr.Lacks)

	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr)
	tr.Watch(nil) // its port is watched since it listens
	client, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.(*net.TCPConn).SetLinger(0) // straight from ESTABLISHED to CLOSE
	server.Close()
	client.Close()
	l.Close()
	net.Dial("tcp4", at.String()) // refused
	child := exec.Command("sh", "-c", "exit 3")
	child.Run()
	killed := exec.Command("sleep", "60")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	killed.Process.Kill()
	killed.Wait()

	seen := map[string]bool{}
	self := func(x Task) bool { return x.PID == os.Getpid() && x.Start != 0 && x.Parent == os.Getppid() }
	begun := time.Now().UnixNano()
	err = tr.Read(time.Now().Add(100*time.Millisecond), begun, func(e any) {
		switch e := e.(type) {
		case *Listen:
			seen["listens"] = seen["listens"] || e.Local.String() == at.String() && self(e.Task) && e.Time > begun
		case *Close:
			if e.Local.String() == at.String() && self(e.Task) && (e.ByCall || e.Listener) && !e.Exiting {
				seen[map[bool]string{true: "closes the listener", false: "closes"}[e.Listener]] = true
			}
		case *Exit:
			seen["exits"] = seen["exits"] || e.Task.PID == child.Process.Pid && e.Task.Code == 3<<8
			seen["is killed"] = seen["is killed"] || e.Task.PID == killed.Process.Pid && e.Task.Code == 9 && e.Task.Name == "sleep"
		case *Signal:
			seen["kills"] = seen["kills"] || e.To == killed.Process.Pid && e.Number == 9 && self(e.From) && !e.Kernel
		case *Drop:
			if e.To.String() == at.String() || e.From.String() == at.String() { // others of this host may have their own
				t.Errorf("dropped for no reason that is wanted: %+v", e)
			}
		case *Reset:
			seen["resets"] = seen["resets"] || e.Local.String() == at.String() && e.Reason == "NO_SOCKET"
		}
	})
	if err != nil || tr.Lost() != 0 {
		t.Errorf("%v, %d lost", err, tr.Lost())
	}
	want := map[string][]string{
		"who listens": {"listens"}, "who closes": {"closes", "closes the listener"}, "how processes end": {"exits", "is killed"}, "who kills": {"kills"},
		"why connections are reset": {"resets"},
	}
	for _, what := range tr.Sees {
		for _, w := range want[what] {
			if !seen[w] {
				t.Errorf("it is not told that something %s (%s)", w, what)
			}
		}
	}
}

// Each record lies in the stack that a program has, and fields where they can be read.
func TestRecords(t *testing.T) {
	for i := range kinds {
		at, size := kinds[i].offsets()
		if size > maxSize || size%8 != 0 {
			t.Errorf("%s: %d octets", kinds[i].what, size)
		}
		end := 0
		for _, f := range kinds[i].fields {
			if at[f.name] < end {
				t.Errorf("%s: %s overlaps what is before it", kinds[i].what, f.name)
			}
			end = at[f.name] + f.size
		}
	}
}

// Headers of dropped packets may be anything.
func TestParseDrop(t *testing.T) {
	ip, tcp := make([]byte, 40), make([]byte, 20)
	var d Drop
	if d.parse(ip, tcp) {
		t.Error("nothing is a segment")
	}
	ip[0], ip[9], ip[12], ip[16] = 0x45, 6, 10, 11
	copy(tcp, []byte{0x0f, 0xa0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2})
	if !d.parse(ip, tcp) || d.From.String() != "10.0.0.0:4000" || d.To.String() != "11.0.0.0:80" || d.Seq != 7 || d.Flags != 2 {
		t.Errorf("%+v", d)
	}
	ip[9] = 17
	if d.parse(ip, tcp) {
		t.Error("UDP is no segment")
	}
}

// A port that somebody begins to listen on is watched from then on, whatever else is watched and not
// watched any more at that moment.
func TestWatchBesideListen(t *testing.T) {
	tr := openHere(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		others := map[uint16]bool{}
		for p := range uint16(1000) {
			others[p] = true
		}
		for {
			select {
			case <-stop:
				return
			default:
				tr.Watch(others)
				tr.Watch(nil)
			}
		}
	}()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	want := map[uint16]bool{}
	for range 300 {
		l, err := plain.Listen(t.Context(), "tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want[uint16(l.Addr().(*net.TCPAddr).Port)] = true
		time.Sleep(100 * time.Microsecond)
	}
	close(stop)
	<-stopped
	for p := range want {
		b := make([]byte, 1)
		if tr.memory.ReadAt(b, portsAt+int64(p)); b[0] == 0 {
			t.Errorf("port %d is not watched", p)
		}
	}
}

// What a program does not look at because it is in the middle of something is counted as lost. Here one
// that looks at page faults makes one itself.
func TestInterruptedIsLost(t *testing.T) {
	tr := openHere(t)
	const nowhere = -0x2000 // the hole in front of the kernel's last page
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: "Dual MIT/GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, scratch),
		asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Imm(asm.R3, nowhere),
		asm.FnProbeReadKernel.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	tr.progs = append(tr.progs, prog)
	before := tr.Lost()
	faults, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "page_fault_kernel", Program: prog})
	if err != nil {
		t.Skip("page faults are not told here: ", err)
	}
	defer faults.Close()
	pages, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	if _, err := zero.Read(pages); err != nil { // the kernel writes there, for the first time
		t.Fatal(err)
	}
	stats, err := prog.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := tr.Lost() - before; got == 0 || got < stats.RecursionMisses {
		t.Errorf("%d lost, %d counted", got, stats.RecursionMisses)
	}
}
