package trace

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// A program copies fields of what its tracepoint hands over into a record, and puts that into the
// ring. Where the fields lie, the kernel's own types say (BTF).
type program struct {
	tracepoint string
	fields     []field
}

// field is a value of a record.
type field struct {
	name string
	size int // octets, a power of two, but for the last ones
	from source
	keep keep // the record is made only if it is so; nil: whatever it is
}

// source emits code that copies a value of size octets to the stack at an offset from its end.
type source func(l *layout, at, size int) (asm.Instructions, error)

// keep emits code that jumps to "done" where the value in R1 is not wanted.
type keep func(l *layout) asm.Instructions

const (
	scratch = -8  // of the stack: a pointer
	maxSize = 496 // of a record: all of the stack but that
	done    = "done"
)

// offsets are where the fields of a record lie in it, and its length. Each is aligned as its size
// wants.
func (p *program) offsets() (at map[string]int, size int) {
	at = map[string]int{}
	for _, f := range p.fields {
		align := 8
		for f.size%align != 0 {
			align /= 2
		}
		size = (size + align - 1) / align * align
		at[f.name] = size
		size += f.size
	}
	return at, (size + 7) / 8 * 8
}

// instructions are the program for the kernel of a layout, which writes to ring, and counts what
// has no room there at lost.
func (p *program) instructions(l *layout) (asm.Instructions, error) {
	if l.args[p.tracepoint] == 0 {
		return nil, errNone
	}
	at, size := p.offsets()
	if size > maxSize {
		return nil, errors.New("the record is too long")
	}
	base := scratch - size
	is := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	// Most calls are for nothing that is wanted, and end as soon as that is known: what decides is read
	// first. What lies between fields is copied, too, so all is made 0 before.
	blank := map[int]bool{}
	zero := func(from, to int) {
		is = append(is, asm.Mov.Imm(asm.R1, 0))
		for i := from / 8 * 8; i < to; i += 8 {
			if !blank[i] {
				is = append(is, asm.StoreMem(asm.RFP, int16(base+i), asm.R1, asm.DWord))
			}
			blank[i] = true
		}
	}
	for _, decisive := range []bool{true, false} {
		if !decisive {
			zero(0, size)
		}
		for _, f := range p.fields {
			if (f.keep != nil) != decisive {
				continue
			}
			if decisive {
				zero(at[f.name], at[f.name]+f.size)
			}
			code, err := f.from(l, base+at[f.name], f.size)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			if is = append(is, code...); decisive {
				is = append(is, asm.LoadMem(asm.R1, asm.RFP, int16(base+at[f.name]), sizeOf(f.size)))
				is = append(is, f.keep(l)...)
			}
		}
	}
	return append(is,
		asm.LoadMapPtr(asm.R1, l.ring),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(base)),
		asm.Mov.Imm(asm.R3, int32(size)),
		asm.Mov.Imm(asm.R4, noWakeup),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, done),
		asm.LoadMapValue(asm.R1, l.shared, lostAt),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(done),
		asm.Return(),
	), nil
}

// noWakeup: nobody is woken up for a record (BPF_RB_NO_WAKEUP); the ring is emptied now and then.
const noWakeup = 1

// layout is what programs need to know of the kernel and of what surrounds them.
type layout struct {
	spec   *btf.Spec
	args   map[string]int // how many arguments each tracepoint has
	netns  uint32         // number of the network namespace that is watched
	labels int            // how many there are
	ring   int            // the ring's descriptor
	shared int            // that of the memory shared with programs
}

// What lies where in the shared memory: how many records had no room, and an octet for each port, 1
// where it is watched. They are not bits, for programs and Watch write them at the same time.
const (
	lostAt     = 0
	portsAt    = 8
	sharedSize = portsAt + 1<<16
)

// label is a new label.
func (l *layout) label() string {
	l.labels++
	return fmt.Sprint("on", l.labels)
}

var errNone = errors.New("this kernel has no such tracepoint")

// learn learns of tracepoints which arguments they have.
func (l *layout) learn() {
	l.args = map[string]int{}
	for i := range kinds {
		name := kinds[i].tracepoint
		if f := l.prototype(name); f != nil {
			l.args[name] = len(f.Params) - 1 // the first one is not handed over
		}
	}
}

// prototype is what a tracepoint's probes are called with; nil: there is no such tracepoint.
func (l *layout) prototype(tracepoint string) *btf.FuncProto {
	var t *btf.Typedef
	if l.spec.TypeByName("btf_trace_"+tracepoint, &t) != nil {
		return nil
	}
	if p, ok := t.Type.(*btf.Pointer); ok {
		f, _ := p.Target.(*btf.FuncProto)
		return f
	}
	return nil
}

// offset is where a member lies in a struct: "sock.__sk_common.skc_family". Anonymous members are
// looked through.
func (l *layout) offset(path string) (at int, size int, err error) {
	names := strings.Split(path, ".")
	var s *btf.Struct
	if err := l.spec.TypeByName(names[0], &s); err != nil {
		return 0, 0, fmt.Errorf("struct %s: %w", names[0], err)
	}
	members := s.Members
	for i, name := range names[1:] {
		m, before, ok := member(members, name)
		if !ok {
			return 0, 0, fmt.Errorf("%s: no member %s", path, name)
		}
		if m.BitfieldSize > 0 {
			return 0, 0, fmt.Errorf("%s: is some bits", path)
		}
		at += before + int(m.Offset.Bytes())
		t := btf.UnderlyingType(m.Type)
		if i == len(names)-2 {
			n, err := btf.Sizeof(t)
			return at, n, err
		}
		switch t := t.(type) {
		case *btf.Struct:
			members = t.Members
		case *btf.Union:
			members = t.Members
		default:
			return 0, 0, fmt.Errorf("%s: %s has no members", path, name)
		}
	}
	return 0, 0, fmt.Errorf("%s: names no member", path)
}

// member finds a member by its name; before is where the anonymous one lies that it is in.
func member(members []btf.Member, name string) (m btf.Member, before int, ok bool) {
	for _, m := range members {
		if m.Name == name {
			return m, 0, true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if x, b, ok := member(inner, name); ok {
			return x, b + int(m.Offset.Bytes()), true
		}
	}
	return m, 0, false
}

// names are the names of an enum's values without what they begin with, by value.
func (l *layout) names(enum, prefix string) map[uint32]string {
	var e *btf.Enum
	if l.spec.TypeByName(enum, &e) != nil {
		return nil
	}
	names := map[uint32]string{}
	for _, v := range e.Values {
		names[uint32(v.Value)] = strings.TrimPrefix(v.Name, prefix)
	}
	return names
}
