package diagnosis

import (
	"fmt"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// proofs count findings of a problem by whether captures at several points prove where it went wrong.
type proofs struct {
	proved, not uint64
	texts       map[said]proofs // likewise, of those that say so
}

func (p *proofs) add(s said, f *detect.Finding) {
	if f.Severity == detect.Info {
		return
	}
	if p.texts == nil {
		p.texts = map[said]proofs{}
	}
	of := p.texts[s]
	for _, n := range [...]*proofs{p, &of} {
		if f.Proof != nil {
			n.proved++
		} else {
			n.not++
		}
	}
	if _, known := p.texts[s]; known || len(p.texts) < mostTexts {
		p.texts[s] = of
	}
}

// limits says of how many findings only what is said of the problem is proved, where it is said because of a proof; else "".
func (p *proofs) limits(s said) string {
	if of := p.texts[s]; of.proved == 0 || of.not > 0 || p.not == 0 {
		return ""
	}
	others, look, those := "another", "looks", "its segments"
	if p.not > 1 {
		others, look, those = text.Grouped(p.not)+" others", "look", "their segments"
	}
	return fmt.Sprintf(" The captures prove that of %s of %s findings; %s %s like these at one point, and what became of %s further on is not shown.",
		text.Grouped(p.texts[s].proved), text.Grouped(p.proved+p.not), others, look, those)
}
