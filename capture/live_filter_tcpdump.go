package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/bpf"
)

// ParseDDD reads a filter that tcpdump has compiled: what "tcpdump -i IFACE -ddd EXPR"
// prints, for the same interface that will be watched. The number of instructions, then one
// a line: operation, jumps if true and if false, operand.
func ParseDDD(r io.Reader) (*Filter, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4096)
	var n int
	if !in.Scan() {
		return nil, dddError(in.Err(), "it is empty")
	}
	if _, err := fmt.Sscanf(in.Text(), "%d", &n); err != nil || n < 1 || n > maxInstructions {
		return nil, dddError(in.Err(), "its first line is not a number of instructions up to %d", maxInstructions)
	}
	raw := make([]bpf.RawInstruction, 0, n)
	for len(raw) < n {
		if !in.Scan() {
			return nil, dddError(in.Err(), "it ends after %d of %d instructions", len(raw), n)
		}
		var i bpf.RawInstruction
		if _, err := fmt.Sscanf(in.Text(), "%d %d %d %d", &i.Op, &i.Jt, &i.Jf, &i.K); err != nil {
			return nil, dddError(nil, "line %d is not an instruction: four numbers", len(raw)+2)
		}
		raw = append(raw, i)
	}
	for in.Scan() {
		if len(in.Bytes()) > 0 {
			return nil, dddError(nil, "line %d follows the last instruction", n+2)
		}
	}
	if in.Err() != nil {
		return nil, dddError(in.Err(), "")
	}
	if err := checkProgram(raw); err != nil {
		return nil, err
	}
	return &Filter{raw: raw}, nil
}

// dddError says what is wrong with the output, or that it could not be read.
func dddError(err error, format string, args ...any) error {
	if err != nil {
		return fmt.Errorf("reading a filter: %w", err)
	}
	return fmt.Errorf("not what tcpdump -ddd prints: %s", fmt.Sprintf(format, args...))
}

// Parts of an operation (Linux's include/uapi/linux/bpf_common.h).
const (
	bpfClass    = 0x07
	bpfLD       = 0x00
	bpfLDX      = 0x01
	bpfALU      = 0x04
	bpfJMP      = 0x05
	bpfRET      = 0x06
	bpfMode     = 0xe0
	bpfABS      = 0x20
	bpfIND      = 0x40
	bpfMSH      = 0xa0
	bpfOperator = 0xf0
	bpfJA       = 0x00
	bpfDIV      = 0x30
	bpfMOD      = 0x90
	bpfFromX    = 0x08
	bpfRvalA    = 0x10
	skfAdOff    = 0xfffff000
)

// checkProgram refuses what bpf_check_classic in net/core/filter.c does, because the kernel
// does not say why.
func checkProgram(raw []bpf.RawInstruction) error {
	for at, i := range raw {
		decoded := i.Disassemble()
		if _, unknown := decoded.(bpf.RawInstruction); unknown {
			return fmt.Errorf("instruction %d of the filter is none: operation %#x", at, i.Op)
		}
		left, op, bad := uint64(len(raw)-at-1), i.Op&bpfOperator, false
		switch class := i.Op & bpfClass; {
		case class == bpfALU:
			bad = i.Op&bpfFromX == 0 && (op == bpfDIV || op == bpfMOD) && i.K == 0
		case class == bpfJMP && op == bpfJA:
			bad = uint64(i.K) >= left
		case class == bpfJMP:
			bad = uint64(max(i.Jt, i.Jf)) >= left
		}
		if bad {
			return fmt.Errorf("instruction %d of the filter is invalid: %v", at, decoded)
		}
	}
	if raw[len(raw)-1].Op&bpfClass != bpfRET {
		return errors.New("the filter does not end with a return")
	}
	return nil
}

// rawProgram adapts what tcpdump compiled to the frames that it will see. It sees them as
// its link type has them: with an Ethernet header, with none, or, on several interfaces,
// with a cooked one that is not there (libpcap's fix_program does the same to it).
func (f *Filter) rawProgram(l filterLink) ([]bpf.RawInstruction, error) {
	p := &program{}
	p.prologue(l.interfaces)
	p.emit(bpf.LoadConstant{Dst: bpf.RegA}) // what a program finds in it
	prog, err := p.assemble()
	if err != nil {
		return nil, err
	}
	if len(prog)+len(f.raw) > maxInstructions {
		return nil, fmt.Errorf("the filter has more than %d instructions", maxInstructions-len(prog))
	}
	for at, i := range f.raw {
		switch class, mode := i.Op&bpfClass, i.Op&bpfMode; {
		case class == bpfRET && i.Op&bpfRvalA == 0:
			i.K = min(i.K, l.snaplen)
		case (class == bpfLD && (mode == bpfABS || mode == bpfIND) || class == bpfLDX && mode == bpfMSH) && i.K < skfNetOff:
			var ok bool
			if i.K, ok = l.header.offset(i); !ok {
				return nil, fmt.Errorf("instruction %d of the filter reads a link header that is not there; compile it with tcpdump -i IFACE for the same interface: %v", at, i.Disassemble())
			}
		}
		prog = append(prog, i)
	}
	return prog, nil
}

// offset is where to load from in place of the operand of i, an offset in the packet.
func (h headerKind) offset(i bpf.RawInstruction) (uint32, bool) {
	const header = 20 // LINUX_SLL2
	switch {
	case h == etherHeader:
		return i.K, true
	case h == otherHeader:
		return skfNetOff + i.K, true
	case i.K >= header:
		return skfNetOff + i.K - header, true
	case i.Op&bpfMode != bpfABS:
		return 0, false
	}
	ext, ok := map[uint32]bpf.Extension{
		0: bpf.ExtProto, 4: bpf.ExtInterfaceIndex, 8: bpf.ExtLinkLayerType, 10: bpf.ExtType,
	}[i.K]
	return skfAdOff + uint32(ext), ok
}
