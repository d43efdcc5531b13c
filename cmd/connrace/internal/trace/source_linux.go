package trace

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// argument is an argument of the tracepoint as it is.
func argument(n int) source {
	return func(_ *layout, at, size int) (asm.Instructions, error) {
		return asm.Instructions{asm.LoadMem(asm.R1, asm.R6, int16(8*n), asm.DWord), asm.StoreMem(asm.RFP, int16(at), asm.R1, sizeOf(size))}, nil
	}
}

func sizeOf(size int) asm.Size {
	return map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}[size]
}

// read reads along pointers from an argument of the tracepoint: the last member's value, and of
// those before what they point to.
func read(n int, members ...string) source {
	return func(l *layout, at, size int) (asm.Instructions, error) {
		return l.follow(asm.Instructions{asm.LoadMem(asm.R3, asm.R6, int16(8*n), asm.DWord)}, at, size, members)
	}
}

// current reads along pointers from the task that runs.
func current(members ...string) source {
	return func(l *layout, at, size int) (asm.Instructions, error) {
		return l.follow(asm.Instructions{asm.FnGetCurrentTask.Call(), asm.Mov.Reg(asm.R3, asm.R0)}, at, size, members)
	}
}

// follow reads along pointers from the one in R3. What cannot be read is 0.
func (l *layout) follow(is asm.Instructions, at, size int, members []string) (asm.Instructions, error) {
	for i, m := range members {
		offset, has, err := l.offset(m)
		if err != nil {
			return nil, err
		}
		is = append(is, asm.Add.Imm(asm.R3, int32(offset)))
		if i == len(members)-1 {
			is = append(is, asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(at)), asm.Mov.Imm(asm.R2, int32(min(size, has))), asm.FnProbeReadKernel.Call())
			break
		}
		is = append(is, pointer()...)
	}
	return is, nil
}

// pointer makes of the address in R3 the pointer that is there.
func pointer() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, scratch), asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(), asm.LoadMem(asm.R3, asm.RFP, scratch, asm.DWord),
	}
}

// header reads from a header of the packet, behind some octets of it, in an argument that is a
// struct sk_buff.
func header(n int, which string, behind int32) source {
	return func(l *layout, at, size int) (asm.Instructions, error) {
		where, _, err := l.offset(which)
		if err != nil {
			return nil, err
		}
		head, _, err := l.offset("sk_buff.head")
		if err != nil {
			return nil, err
		}
		is := asm.Instructions{
			asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, scratch, asm.R1, asm.DWord),
			asm.LoadMem(asm.R3, asm.R6, int16(8*n), asm.DWord), asm.Add.Imm(asm.R3, int32(where)),
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, scratch), asm.Mov.Imm(asm.R2, 2), asm.FnProbeReadKernel.Call(),
			asm.LoadMem(asm.R7, asm.RFP, scratch, asm.Half),
			asm.LoadMem(asm.R3, asm.R6, int16(8*n), asm.DWord), asm.Add.Imm(asm.R3, int32(head)),
		}
		is = append(is, pointer()...)
		return append(is,
			asm.Add.Reg(asm.R3, asm.R7), asm.Add.Imm(asm.R3, behind),
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(at)), asm.Mov.Imm(asm.R2, int32(size)), asm.FnProbeReadKernel.Call(),
		), nil
	}
}

// call is what a helper of the kernel's returns.
func call(f asm.BuiltinFunc) source {
	return func(_ *layout, at, size int) (asm.Instructions, error) {
		return asm.Instructions{f.Call(), asm.StoreMem(asm.RFP, int16(at), asm.R0, sizeOf(size))}, nil
	}
}

// number is a number.
func number(n int) source {
	return func(_ *layout, at, size int) (asm.Instructions, error) {
		return asm.Instructions{asm.Mov.Imm(asm.R1, int32(n)), asm.StoreMem(asm.RFP, int16(at), asm.R1, sizeOf(size))}, nil
	}
}

// optional is 0 where this kernel does not have it.
func optional(s source) source {
	return func(l *layout, at, size int) (asm.Instructions, error) {
		is, err := s(l, at, size)
		if err != nil {
			return nil, nil
		}
		return is, nil
	}
}

// equals keeps one value.
func equals(n int) keep {
	return func(*layout) asm.Instructions { return asm.Instructions{asm.JNE.Imm(asm.R1, int32(n), done)} }
}

// among keeps values below 64 that are in a set.
func among(values ...int) keep {
	var set int64
	for _, v := range values {
		set |= 1 << v
	}
	return func(*layout) asm.Instructions {
		return asm.Instructions{
			asm.JGT.Imm(asm.R1, 63, done),
			asm.LoadImm(asm.R2, set, asm.DWord), asm.RSh.Reg(asm.R2, asm.R1), asm.And.Imm(asm.R2, 1), asm.JEq.Imm(asm.R2, 0, done),
		}
	}
}

// watched keeps ports that are watched, whose octets are in the order of the network.
func watched(l *layout) asm.Instructions {
	return append(l.port(), asm.LoadMem(asm.R3, asm.R3, 0, asm.Byte), asm.JEq.Imm(asm.R3, 0, done))
}

// watch has a port watched from now on, as in watched: its first connections may end before anybody
// has heard of it.
func watch(l *layout) asm.Instructions {
	return append(l.port(), asm.StoreImm(asm.R3, 0, 1, asm.Byte))
}

// port makes R3 point to the octet of the port in R1.
func (l *layout) port() asm.Instructions {
	return asm.Instructions{
		asm.HostTo(asm.BE, asm.R1, asm.Half), asm.And.Imm(asm.R1, 1<<16-1), // which it is, but the verifier may not know
		asm.LoadMapValue(asm.R3, l.shared, portsAt), asm.Add.Reg(asm.R3, asm.R1),
	}
}

// here keeps the network namespace that is watched, by its number. unknown: 0, too.
func here(unknown bool) keep {
	return func(l *layout) asm.Instructions {
		on := l.label()
		is := asm.Instructions{asm.Mov.Imm32(asm.R2, int32(l.netns)), asm.JEq.Reg(asm.R1, asm.R2, on)}
		if unknown {
			is = append(is, asm.JEq.Imm(asm.R1, 0, on))
		}
		return append(is, asm.Ja.Label(done), asm.Mov.Imm(asm.R0, 0).WithSymbol(on))
	}
}

// named keeps values of an enum by their names, as far as this kernel has them.
func named(enum, prefix string, wanted ...string) keep {
	return func(l *layout) (is asm.Instructions) {
		on := l.label()
		for value, name := range l.names(enum, prefix) {
			if slices.Contains(wanted, name) {
				is = append(is, asm.JEq.Imm(asm.R1, int32(value), on))
			}
		}
		return append(is, asm.Ja.Label(done), asm.Mov.Imm(asm.R0, 0).WithSymbol(on))
	}
}

// or is the second source where an argument is not 0, else the first.
func or(first source, n int, second source) source {
	return func(l *layout, at, size int) (asm.Instructions, error) {
		is, err := first(l, at, size)
		if err != nil {
			return nil, err
		}
		more, err := second(l, at, size)
		if err != nil {
			return nil, err
		}
		on := l.label()
		is = append(is, asm.LoadMem(asm.R1, asm.R6, int16(8*n), asm.DWord), asm.JEq.Imm(asm.R1, 0, on))
		is = append(is, more...)
		return append(is, asm.Mov.Imm(asm.R0, 0).WithSymbol(on)), nil
	}
}
