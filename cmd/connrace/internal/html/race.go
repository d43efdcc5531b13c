package html

import (
	"html/template"
	"math"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
)

// drawRace draws two timers as bars: the shorter one closes first.
func drawRace(r *diagnosis.Race) template.HTML {
	target, lb := r.Target, r.LB
	const left, width, full = 108, 360, 180.0
	bar := [2]float64{full, full}
	texts := [2]string{text.Short(target), "longer"}
	if lb != nil {
		longest := float64(max(target, lb.NS, 1))
		for i, ns := range [2]int64{target, lb.NS} {
			bar[i] = full * math.Sqrt(float64(max(ns, 0))/longest) // by the square root, for 2 s beside 60 s must still be seen
		}
		texts[1] = text.Short(lb.NS)
	} else {
		bar[0] = full / 2
	}
	var s svg
	s.add(`<svg class="race" role="img" width="%v" height="58" viewBox="0 0 %v 58" aria-label="%v">`, width, width,
		"Target closes after "+texts[0]+" idle, load balancer after "+texts[1])
	for i, name := range []string{"Target", "Load balancer"} {
		y := 8 + 26*i
		s.add(`<text class="name" x="0" y="%v">%v</text>`, y+13, name)
		class := [2]string{"bar target", "bar lb"}[i]
		if i == 1 && lb == nil {
			class += " open"
		}
		s.add(`<rect class="%v" x="%v" y="%v" width="%v" height="18" rx="2"/>`, class, left, y, max(bar[i], 3))
		s.add(`<text x="%v" y="%v">%v</text>`, left+max(bar[i], 3)+8, y+13, texts[i])
	}
	s.add(`</svg>`)
	return s.html()
}
