package pcaps

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"connrace/tcpstate"
)

const (
	maxPayload = 65000   // an IPv4 datagram holds 65535 bytes
	maxFillers = 4096    // packets that one gap in the frame numbers may hold
	maxSeconds = 1 << 26 // of a packet's time: two years
)

var defaultStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Parse reads a script. Errors name it and the line.
func Parse(name string, text []byte) (*Script, error) {
	p := parser{s: &Script{Name: name, Capture: Capture{Start: defaultStart}}, hosts: map[string]int{}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := p.line(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	if len(p.s.Packets) == 0 {
		return nil, fmt.Errorf("%s: no packets", name)
	}
	for i := range p.s.Packets {
		if k := &p.s.Packets[i]; k.ICMP != nil && p.s.quoted(k) == nil {
			return nil, fmt.Errorf("%s: the packet that the ICMP error at %s quotes is not there", name, k.Time)
		}
	}
	p.s.Trailer = trimBlank(p.before)
	return p.s, nil
}

type parser struct {
	s       *Script
	section string
	hosts   map[string]int
	before  []string // comment and blank lines read since the last item
	frame   uint64   // number of the last packet
	last    time.Duration
}

var sections = []string{"", "capture", "hosts", "options", "packets"}

func (p *parser) line(line string) error {
	if name, ok := sectionName(line); ok {
		return p.begin(name)
	}
	if line == "" || line[0] == '#' {
		p.before = append(p.before, line)
		return nil
	}
	l, err := newLine(line)
	if err != nil {
		return err
	}
	switch p.section {
	case "capture":
		err = p.capture(l)
	case "hosts":
		err = p.host(l)
	case "options":
		err = p.option(l)
	case "packets":
		err = p.packet(l)
	default:
		return errors.New("text before the first section must be a comment")
	}
	if err == nil && len(l.tokens) > 0 {
		err = fmt.Errorf("unexpected %s", l.tokens[0])
	}
	return err
}

func sectionName(line string) (string, bool) {
	s, ok := strings.CutPrefix(line, "-- ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, " --")
}

// begin begins a section; they come in a fixed order.
func (p *parser) begin(name string) error {
	i, was := slices.Index(sections, name), slices.Index(sections, p.section)
	switch {
	case i < 1:
		return fmt.Errorf("unknown section %q", name)
	case i <= was:
		return fmt.Errorf("section %s must stand before %s", name, p.section)
	case i > 2 && len(p.s.Hosts) == 0:
		return fmt.Errorf("section %s must stand behind hosts", name)
	}
	rest := trimBlank(p.before)
	p.before = nil
	if was == 0 {
		p.s.About = rest
	} else if rest != nil {
		return fmt.Errorf("a comment at the end of section %s belongs to nothing", p.section)
	}
	p.section = name
	return nil
}

// take are the comment lines in front of an item.
func (p *parser) take() []string {
	b := p.before
	p.before = nil
	return b
}

// trimBlank drops the blank lines at both ends.
func trimBlank(lines []string) []string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return nil
	}
	return lines
}

func (p *parser) capture(l *line) error {
	c := &p.s.Capture
	if err := p.plain(l); err != nil {
		return err
	}
	switch word := l.next(); word {
	case "start":
		t, err := time.Parse(time.RFC3339Nano, l.next())
		if err != nil || t.Year() < 1970 || t.Year() >= 2100 {
			return errors.New("start needs a time like 2019-01-26T00:00:00Z, between 1970 and 2100")
		}
		c.Start = t.UTC()
	case "link":
		i := slices.Index(linkNames[:], l.next())
		if i < 0 {
			return fmt.Errorf("link is one of %s", strings.Join(linkNames[:], ", "))
		}
		c.Link = Link(i)
	case "vlan":
		n, err := l.number(4094)
		if err != nil || n == 0 {
			return errors.New("vlan needs a number from 1 to 4094")
		}
		c.VLAN = uint16(n)
	case "pad":
		c.Pad = true
	case "snaplen":
		if c.Headers = len(l.tokens) > 0 && l.tokens[0] == "headers"; c.Headers {
			c.Snaplen = 0
			l.next()
			break
		}
		n, err := l.number(1 << 18)
		if err != nil || n == 0 {
			return errors.New("snaplen needs a number from 1 to 262144, or headers")
		}
		c.Snaplen = int(n)
	default:
		return fmt.Errorf("unknown word %s", word)
	}
	if c.Link != Ethernet && (c.VLAN != 0 || c.Pad) {
		return errors.New("vlan and pad need link ethernet")
	}
	return nil
}

// plain refuses comments where nothing would keep them.
func (p *parser) plain(l *line) error {
	if l.comment != "" || trimBlank(p.take()) != nil {
		return fmt.Errorf("no comments in section %s", p.section)
	}
	return nil
}

var hostName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

func (p *parser) host(l *line) error {
	h := Host{Name: l.next(), Before: p.take()}
	if _, dup := p.hosts[h.Name]; dup || !hostName.MatchString(h.Name) {
		return fmt.Errorf("bad host name %s: want a new one of [a-z0-9_-]", h.Name)
	}
	var err error
	if h.Addr, err = netip.ParseAddrPort(l.next()); err != nil {
		return err
	}
	if a := h.Addr.Addr(); a.Zone() != "" || a.Is4In6() {
		return fmt.Errorf("bad address %s", a)
	}
	for len(l.tokens) > 0 {
		switch word := l.next(); word {
		case "isn":
			n, err := l.number(1<<32 - 1)
			if err != nil {
				return err
			}
			h.ISN = tcpstate.Seq(n)
		case "ts":
			n, err := l.number(1<<32 - 1)
			if err != nil {
				return err
			}
			h.HasTS, h.TS = true, n
		default:
			return fmt.Errorf("unknown word %s", word)
		}
	}
	if n := p.s.Capture.Snaplen; n != 0 && n < p.s.Capture.size()+ipHeader(h.Addr)+20 {
		return fmt.Errorf("snaplen %d cuts off the TCP header", n)
	}
	h.Want, h.Comment, err = parseWant(l.comment)
	p.hosts[h.Name] = len(p.s.Hosts)
	p.s.Hosts = append(p.s.Hosts, h)
	return err
}

func (p *parser) option(l *line) error {
	o := &p.s.Options
	if err := p.plain(l); err != nil {
		return err
	}
	switch word := l.next(); word {
	case "framing":
		o.Framing = true
	case "lb-idle-timeout":
		d, err := time.ParseDuration(l.next())
		if err != nil || d <= 0 {
			return errors.New("lb-idle-timeout needs a duration like 60s")
		}
		o.LBIdleTimeout = d
	case "target", "lb":
		i, err := p.hostRef(l)
		if err != nil {
			return err
		}
		if word == "lb" {
			o.LBs = append(o.LBs, i)
		} else {
			o.Targets = append(o.Targets, i)
		}
	case "filler":
		f, err := p.pair(l)
		if err != nil {
			return err
		}
		o.Fillers = append(o.Fillers, f)
	default:
		return fmt.Errorf("unknown word %s", word)
	}
	return nil
}

func (p *parser) hostRef(l *line) (int, error) {
	name := l.next()
	i, ok := p.hosts[name]
	if !ok {
		return 0, fmt.Errorf("unknown host %q", name)
	}
	return i, nil
}

// pair reads NAME > NAME.
func (p *parser) pair(l *line) (Pair, error) {
	from, err := p.hostRef(l)
	if err != nil {
		return Pair{}, err
	}
	if w := l.next(); w != ">" {
		return Pair{}, fmt.Errorf("want >, not %q", w)
	}
	to, err := p.hostRef(l)
	if err != nil {
		return Pair{}, err
	}
	a, b := p.s.Hosts[from].Addr, p.s.Hosts[to].Addr
	if a == b || a.Addr().Is4() != b.Addr().Is4() {
		return Pair{}, fmt.Errorf("no connection between %s and %s", a, b)
	}
	return Pair{from, to}, nil
}

func (p *parser) packet(l *line) error {
	k := Packet{Before: p.take()}
	var err error
	if k.Time, err = parseTime(l.next()); err != nil {
		return err
	}
	if k.Time < p.last {
		return errors.New("packets must be in order of time")
	}
	pair, err := p.pair(l)
	if err != nil {
		return err
	}
	k.Src, k.Dst = pair.From, pair.To
	if k.Flags, err = parseFlags(l.next()); err != nil {
		return err
	}
	if err := k.parseRange(l.next()); err != nil {
		return err
	}
	acked, err := p.attributes(&k, l)
	if err != nil {
		return err
	}
	switch {
	case k.ICMP != nil && p.s.Hosts[k.ICMP.From].Addr.Addr().Is4() != p.s.Hosts[k.Src].Addr.Addr().Is4():
		return errors.New("the ICMP error's sender has an address of the other IP version")
	case acked != k.Flags.Has(tcpstate.ACK):
		return errors.New("the ACK flag (.) and ack N need each other")
	case !k.More && k.Text != "" && len(k.Text) != k.Len:
		return fmt.Errorf("the text has %d octets, the segment %d (\"…\"... lets it go on)", len(k.Text), k.Len)
	case len(k.Text) > k.Len:
		return fmt.Errorf("the text has %d octets, more than the segment's %d", len(k.Text), k.Len)
	}
	if n := p.s.length(&k); k.Check != 0 && k.Check != n {
		return fmt.Errorf("the frame has %d octets, not %d", n, k.Check)
	}
	if err := p.number(&k); err != nil {
		return err
	}
	p.last = k.Time
	k.Want, k.Comment, err = parseWant(l.comment)
	p.s.Packets = append(p.s.Packets, k)
	return err
}

// number checks the frame's number.
func (p *parser) number(k *Packet) error {
	p.frame++
	if k.Frame == 0 {
		return nil
	}
	switch {
	case k.Frame < p.frame:
		return fmt.Errorf("this is frame %d at least", p.frame)
	case k.Frame > p.frame && len(p.s.Options.Fillers) == 0:
		return fmt.Errorf("this is frame %d: nothing fills the gap (option filler)", p.frame)
	case k.Frame-p.frame > maxFillers:
		return fmt.Errorf("more than %d frames to fill", maxFillers)
	}
	p.frame = k.Frame
	return nil
}

// attributes reads what follows the sequence numbers.
func (p *parser) attributes(k *Packet, l *line) (acked bool, err error) {
	for len(l.tokens) > 0 && err == nil {
		word := l.next()
		switch word {
		case "ack":
			var n uint32
			n, err = l.number(1<<32 - 1)
			k.Ack, acked = tcpstate.Seq(n), true
		case "win":
			k.Win, err = l.given(1<<16 - 1)
		case "mss":
			k.MSS, err = l.given(1<<16 - 1)
		case "wscale":
			k.WScale, err = l.given(14)
		case "ipid":
			k.IPID, err = l.given(1<<16 - 1)
		case "ttl":
			k.TTL, err = l.given(1<<8 - 1)
		case "icmp":
			k.ICMP = &ICMP{Name: l.next()}
			if _, ok := icmpErrors[k.ICMP.Name]; !ok {
				return acked, fmt.Errorf("unknown ICMP error %q", k.ICMP.Name)
			}
			k.ICMP.From, err = p.hostRef(l)
		case "mtu":
			if k.ICMP == nil || k.ICMP.Name != tooBig {
				return acked, errors.New("only icmp too-big has an mtu")
			}
			k.ICMP.MTU, err = l.number(1<<16 - 1)
		case "sackOK":
			k.SACKOK = true
		case "nots":
			k.TS = &Timestamps{Off: true}
		case "ts":
			k.TS = &Timestamps{}
			if k.TS.Val, err = l.number(1<<32 - 1); err == nil {
				k.TS.Ecr, err = l.number(1<<32 - 1)
			}
		case "len":
			var n uint32
			n, err = l.number(1 << 17)
			k.Check = int(n)
		case "frame":
			var n uint32
			n, err = l.number(1<<32 - 1)
			k.Frame = uint64(n)
		default:
			if word == "" || word[0] != '"' {
				return acked, fmt.Errorf("unknown word %s", word)
			}
			word, k.More = strings.CutSuffix(word, "...")
			if k.Text, err = strconv.Unquote(word); err == nil && k.Text == "" {
				err = errors.New("empty text")
			}
		}
	}
	return acked, err
}
