package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Tracer takes events from the kernel. Watch belongs to one goroutine, all else to another.
type Tracer struct {
	ring    *ebpf.Map
	shared  *ebpf.Map
	memory  *ebpf.Memory
	reader  *ringbuf.Reader
	links   []link.Link
	progs   []*ebpf.Program
	offsets []map[string]int // by kind
	watched map[uint16]bool  // what Watch said
	drops   map[uint32]string
	resets  map[uint32]string
	// Sees is what is seen; Lacks, what not, with the reason.
	Sees, Lacks []string
}

// ringSize bounds what waits to be read: some 5000 records.
const ringSize = 1 << 20

// Open loads the programs, for a network namespace, by its number. It needs CAP_BPF and
// CAP_PERFMON, or CAP_SYS_ADMIN; afterwards no right is needed any more.
func Open(netns uint32) (*Tracer, error) {
	t := &Tracer{watched: map[uint16]bool{}}
	if err := t.open(netns); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tracer) open(netns uint32) error {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("the kernel's types (BTF): %w", err)
	}
	// Before Linux 5.11 maps counted as memory that is locked. (Package rlimit of cilium/ebpf makes a map to see
	// whether they do, whenever a program starts that imports it.)
	unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	if t.ring, err = ebpf.NewMap(&ebpf.MapSpec{Name: "connrace_events", Type: ebpf.RingBuf, MaxEntries: ringSize}); err != nil {
		return denied(err)
	}
	if t.shared, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "connrace_shared", Type: ebpf.Array, KeySize: 4, ValueSize: sharedSize, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}); err != nil {
		return denied(err)
	}
	if t.memory, err = t.shared.Memory(); err != nil {
		return err
	}
	l := &layout{spec: spec, netns: netns, ring: t.ring.FD(), shared: t.shared.FD()}
	l.learn()
	for i := range kinds {
		k := &kinds[i]
		if err := t.attach(l, i); err != nil {
			if d := denied(err); errors.Is(d, fs.ErrPermission) {
				return d
			}
			t.Lacks = append(t.Lacks, k.what+" ("+reason(err)+")")
			continue
		}
		t.Sees = append(t.Sees, k.what)
	}
	if len(t.links) == 0 {
		return errors.New(strings.Join(t.Lacks, ", "))
	}
	t.drops, t.resets = l.names("skb_drop_reason", dropPrefix), l.names("sk_rst_reason", resetPrefix)
	t.reader, err = ringbuf.NewReader(t.ring)
	return err
}

// attach loads and attaches the program of a kind.
func (t *Tracer) attach(l *layout, kind int) error {
	p := kinds[kind].program
	// What kind it is of stands in front.
	p.fields = append([]field{{"kind", 8, number(kind), nil}}, p.fields...)
	offsets, _ := p.offsets()
	t.offsets = append(t.offsets, offsets)
	is, err := p.instructions(l)
	if err != nil {
		return err
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "connrace", Type: ebpf.RawTracepoint, Instructions: is, License: "Dual MIT/GPL"})
	if err != nil {
		return err
	}
	t.progs = append(t.progs, prog)
	at, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: p.tracepoint, Program: prog})
	if err != nil {
		return err
	}
	t.links = append(t.links, at)
	return nil
}

// denied says of an error which rights are lacking, if they are.
func denied(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) && !errors.As(err, new(*ebpf.VerifierError)) {
		return deniedError{}
	}
	return err
}

// deniedError says which rights are lacking.
type deniedError struct{}

func (deniedError) Error() string { return "no CAP_BPF and CAP_PERFMON" }
func (deniedError) Unwrap() error { return fs.ErrPermission }

// reason is an error in one short line.
func reason(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	const longest = 120
	return s[:min(len(s), longest)]
}

// Watch says which ports are watched. Those that the kernel itself has added since stay: who calls
// may not have heard of them yet.
func (t *Tracer) Watch(ports map[uint16]bool) error {
	set := func(port uint16, to byte) error {
		_, err := t.memory.WriteAt([]byte{to}, portsAt+int64(port))
		return err
	}
	for p := range t.watched {
		if !ports[p] {
			if err := set(p, 0); err != nil {
				return err
			}
			delete(t.watched, p)
		}
	}
	for p, is := range ports {
		if is {
			if err := set(p, 1); err != nil {
				return err
			}
			t.watched[p] = true
		}
	}
	return nil
}

// Lost is how many events had no room, or were not looked at because they came in an interrupt while
// a program looked at another one on the same processor.
func (t *Tracer) Lost() (n uint64) {
	b := make([]byte, 8)
	if _, err := t.memory.ReadAt(b, lostAt); err == nil {
		n = native64(b)
	}
	for _, p := range t.progs {
		if s, err := p.Stats(); err == nil { // before Linux 5.12 nobody counts them
			n += s.RecursionMisses
		}
	}
	return n
}

// Read calls each with the events that have come, once what waits is read or until is over; where
// more come than can be read, some later. boot is added to their times, which else are since the
// host began.
func (t *Tracer) Read(until time.Time, boot int64, each func(any)) error {
	t.reader.SetDeadline(until)
	const most = ringSize / 64 // more than there is room for
	var raw ringbuf.Record
	for range most {
		err := t.reader.ReadInto(&raw)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		kind := native64(raw.RawSample)
		if kind >= uint64(len(kinds)) {
			continue
		}
		switch e := kinds[kind].event(&record{t.offsets[kind], raw.RawSample, boot}).(type) {
		case nil:
		case *Drop:
			e.Reason = name32(t.drops, e.reason)
			each(e)
		case *Reset:
			e.Reason = name32(t.resets, e.reason)
			each(e)
		default:
			each(e)
		}
	}
	return nil
}

func native64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

func name32(names map[uint32]string, n uint32) string {
	if s := names[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

// Close takes the programs out of the kernel.
func (t *Tracer) Close() error {
	var errs []error
	for _, l := range slices.Backward(t.links) {
		errs = append(errs, l.Close())
	}
	for _, p := range t.progs {
		errs = append(errs, p.Close())
	}
	if t.reader != nil {
		errs = append(errs, t.reader.Close())
	}
	if t.ring != nil {
		errs = append(errs, t.ring.Close())
	}
	if t.shared != nil {
		errs = append(errs, t.shared.Close())
	}
	return errors.Join(errs...)
}
