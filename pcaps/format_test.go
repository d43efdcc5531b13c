package pcaps

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connrace/tcpstate"
)

// Format writes the script in its canonical form: columns aligned, words in a fixed order.
func (s *Script) Format() []byte {
	var b bytes.Buffer
	lines(&b, s.About)
	s.formatCapture(&b)
	s.formatHosts(&b)
	s.formatOptions(&b)
	b.WriteString("-- packets --\n")
	wt, wn := 0, 0
	for i := range s.Packets {
		p := &s.Packets[i]
		wt = max(wt, len(formatTime(p.Time)))
		wn = max(wn, len(s.Hosts[p.Src].Name), len(s.Hosts[p.Dst].Name))
	}
	for i := range s.Packets {
		p := &s.Packets[i]
		lines(&b, p.Before)
		text := fmt.Sprintf("%*s %-*s > %-*s %-2s %s", wt, formatTime(p.Time), wn, s.Hosts[p.Src].Name,
			wn, s.Hosts[p.Dst].Name, p.Flags, p.words(s.Hosts))
		commented(&b, text, p.Want, p.Comment)
	}
	lines(&b, s.Trailer)
	return b.Bytes()
}

func lines(b *bytes.Buffer, ls []string) {
	for _, l := range ls {
		fmt.Fprintln(b, l)
	}
}

func commented(b *bytes.Buffer, text string, w *Want, comment string) {
	b.WriteString(text)
	if w != nil {
		comment = "want " + w.String()
	}
	if comment != "" {
		b.WriteString("   # " + comment)
	}
	b.WriteByte('\n')
}

// String is the expectation as scripts have it, without the word want.
func (w *Want) String() string {
	words := []string{w.Rule}
	for _, s := range [...]string{w.Severity, w.Confidence} {
		if s != "" {
			words = append(words, s)
		}
	}
	for _, c := range w.Checks {
		words = append(words, c.Key+"="+c.Value)
	}
	text := strings.Join(words, " ")
	if w.Note != "" {
		text += "; " + w.Note
	}
	return text
}

func (s *Script) formatCapture(b *bytes.Buffer) {
	c := &s.Capture
	if c.Start.Equal(defaultStart) && c.Link == Ethernet && c.VLAN == 0 && !c.Pad && c.Snaplen == 0 && !c.Headers {
		return
	}
	b.WriteString("-- capture --\n")
	if !c.Start.Equal(defaultStart) {
		fmt.Fprintf(b, "start %s\n", c.Start.Format(time.RFC3339Nano))
	}
	if c.Link != Ethernet {
		fmt.Fprintf(b, "link %s\n", c.Link)
	}
	if c.VLAN != 0 {
		fmt.Fprintf(b, "vlan %d\n", c.VLAN)
	}
	if c.Pad {
		b.WriteString("pad\n")
	}
	switch {
	case c.Headers:
		b.WriteString("snaplen headers\n")
	case c.Snaplen != 0:
		fmt.Fprintf(b, "snaplen %d\n", c.Snaplen)
	}
}

func (s *Script) formatHosts(b *bytes.Buffer) {
	b.WriteString("-- hosts --\n")
	wn, wa := 0, 0
	for i := range s.Hosts {
		wn, wa = max(wn, len(s.Hosts[i].Name)), max(wa, len(s.Hosts[i].Addr.String()))
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		lines(b, h.Before)
		text := fmt.Sprintf("%-*s %-*s isn %d", wn, h.Name, wa, h.Addr, uint32(h.ISN))
		if h.HasTS {
			text += fmt.Sprintf(" ts %d", h.TS)
		}
		commented(b, text, h.Want, h.Comment)
	}
}

func (s *Script) formatOptions(b *bytes.Buffer) {
	o := &s.Options
	if !o.Framing && o.LBIdleTimeout == 0 && len(o.Targets)+len(o.LBs)+len(o.Fillers) == 0 {
		return
	}
	b.WriteString("-- options --\n")
	if o.Framing {
		b.WriteString("framing\n")
	}
	if o.LBIdleTimeout != 0 {
		fmt.Fprintf(b, "lb-idle-timeout %s\n", o.LBIdleTimeout)
	}
	for _, i := range o.Targets {
		fmt.Fprintf(b, "target %s\n", s.Hosts[i].Name)
	}
	for _, i := range o.LBs {
		fmt.Fprintf(b, "lb %s\n", s.Hosts[i].Name)
	}
	for _, f := range o.Fillers {
		fmt.Fprintf(b, "filler %s > %s\n", s.Hosts[f.From].Name, s.Hosts[f.To].Name)
	}
}

// words is the part of a packet's line behind the flags.
func (p *Packet) words(hosts []Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d(%d)", uint32(p.Seq), uint32(p.Seq.Add(uint32(p.Len))), p.Len)
	if p.Flags.Has(tcpstate.ACK) {
		fmt.Fprintf(&b, " ack %d", uint32(p.Ack))
	}
	number := func(word string, n Number) {
		if n.Set {
			fmt.Fprintf(&b, " %s %d", word, n.N)
		}
	}
	number("win", p.Win)
	number("mss", p.MSS)
	number("wscale", p.WScale)
	if p.SACKOK {
		b.WriteString(" sackOK")
	}
	switch {
	case p.TS != nil && p.TS.Off:
		b.WriteString(" nots")
	case p.TS != nil:
		fmt.Fprintf(&b, " ts %d %d", p.TS.Val, p.TS.Ecr)
	}
	number("ipid", p.IPID)
	number("ttl", p.TTL)
	if e := p.ICMP; e != nil {
		fmt.Fprintf(&b, " icmp %s %s", e.Name, hosts[e.From].Name)
		number("mtu", Number{e.MTU, e.MTU != 0})
	}
	number("len", Number{uint32(p.Check), p.Check != 0})
	number("frame", Number{uint32(p.Frame), p.Frame != 0})
	if p.Text != "" {
		b.WriteString(" " + strconv.Quote(p.Text))
		if p.More {
			b.WriteString("...")
		}
	}
	return b.String()
}

// formatTime writes seconds with six decimals, or nine where they are needed.
func formatTime(d time.Duration) string {
	sec, ns := d/time.Second, d%time.Second
	if ns%1000 == 0 {
		return fmt.Sprintf("%d.%06d", sec, ns/1000)
	}
	return fmt.Sprintf("%d.%09d", sec, ns)
}
