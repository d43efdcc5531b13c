package capture

import "golang.org/x/net/bpf"

// program is a packet filter in the making: it knows labels.
type program struct {
	ins     []bpf.Instruction
	snaplen uint32
	places  []int // of the labels
	jumps   []jump
}

// label is a place that stands further down than all jumps to it.
type label int

type jump struct {
	at int
	to label
}

func (p *program) label() label {
	p.places = append(p.places, -1)
	return label(len(p.places) - 1)
}

// place puts l here.
func (p *program) place(l label) { p.places[l] = len(p.ins) }

func (p *program) emit(ins ...bpf.Instruction) { p.ins = append(p.ins, ins...) }

// accept passes the packet, drop refuses it.
func (p *program) accept() { p.emit(bpf.RetConstant{Val: p.snaplen}) }
func (p *program) drop()   { p.emit(bpf.RetConstant{}) }

func (p *program) jump(l label) {
	p.jumps = append(p.jumps, jump{len(p.ins), l})
	p.emit(bpf.Jump{})
}

// jumpIf jumps if A compares to v as c says.
func (p *program) jumpIf(c bpf.JumpTest, v uint32, l label) {
	p.emit(bpf.JumpIf{Cond: c, Val: v, SkipFalse: 1})
	p.jump(l)
}

// near is jumpIf in one instruction, for labels at most 255 instructions away.
func (p *program) near(c bpf.JumpTest, v uint32, l label) {
	p.jumps = append(p.jumps, jump{len(p.ins), l})
	p.emit(bpf.JumpIf{Cond: c, Val: v})
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	for _, j := range p.jumps {
		skip := p.places[j.to] - j.at - 1
		switch i := p.ins[j.at].(type) {
		case bpf.Jump:
			i.Skip = uint32(skip)
			p.ins[j.at] = i
		case bpf.JumpIf:
			i.SkipTrue = uint8(skip)
			p.ins[j.at] = i
		}
	}
	return bpf.Assemble(p.ins)
}
