package html

import (
	"fmt"
	"strconv"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
)

// joinedCard says which two captures are one case, and what that shows of clocks and ways.
type joinedCard struct {
	Text     string
	A, B     string // their names
	Facts    []fact
	Ways     []wayText
	NAT      []natText
	WaysLeft int
}

// wayText is how long the fastest segments took to a target and back.
type wayText struct{ Target, To, Back string }

// natText is an address that is another one at the other point.
type natText struct{ Role, From, To, N string }

// mostWays are listed of a pair of captures.
const mostWays = 20

func (p *page) joined() (cards []joinedCard) {
	for i := range p.r.Joined {
		j := &p.r.Joined[i]
		c := joinedCard{Text: j.Text(), A: j.A.Name, B: j.B.Name}
		for _, at := range []report.Point{j.A, j.B} {
			c.Facts = append(c.Facts, fact{text.Sentence(at.Place.String()), at.Name, ""})
		}
		c.Facts = append(c.Facts, fact{"In both", text.Plural(uint64(j.Shared), "connection"), ""})
		for k, only := range j.OnlyAt {
			if only > 0 {
				c.Facts = append(c.Facts, fact{"Only in " + [2]string{c.A, c.B}[k], text.Plural(uint64(only), "connection"), ""})
			}
		}
		if k := &j.Clock; k.Known {
			c.Facts = append(c.Facts, fact{
				"Clock of " + c.B, ahead(j),
				fmt.Sprintf("if the fastest segments took equally long both ways; else at most %s less or %s more", text.Span(k.Offset-k.Lo), text.Span(k.Hi-k.Offset)),
			})
			if k.DriftKnown {
				c.Facts = append(c.Facts, fact{"It drifts by", strconv.FormatFloat(k.Drift*1e6, 'f', 1, 64) + " ppm", ""})
			}
		}
		for n, w := range j.Ways {
			if n == mostWays {
				c.WaysLeft = len(j.Ways) - n
				break
			}
			c.Ways = append(c.Ways, wayText{w.Target.String(), text.Span(w.ToTarget), text.Span(w.ToLB)})
		}
		for _, n := range j.NAT {
			c.NAT = append(c.NAT, natText{map[string]string{"lb": "load balancer", "target": "target"}[n.Role], n.From, n.To, text.Grouped(uint64(n.N))})
		}
		cards = append(cards, c)
	}
	return cards
}

// ahead says how far the clock of the second point is from that of the first.
func ahead(j *report.Joined) string {
	s := text.Plain(j.Apart())
	switch {
	case j.Clock.Offset < 0:
		return s + " behind"
	case j.Clock.Offset > 0:
		return s + " ahead"
	}
	return s
}
