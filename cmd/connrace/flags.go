package main

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/detect"
	"connrace/tcpstate"
)

// needs is a flag that does nothing unless one of others is given.
type needs struct {
	flag string
	what string // the others, for people
	any  []string
}

// idle is what is wrong with flags that were given in vain; "": nothing.
func idle(fs *pflag.FlagSet, all []needs) string {
	for _, n := range all {
		if f := fs.Lookup(n.flag); f.Changed && !slices.ContainsFunc(n.any, fs.Changed) {
			name := "--" + f.Name
			if f.Shorthand != "" {
				name = "-" + f.Shorthand
			}
			return name + " needs " + n.what
		}
	}
	return ""
}

// choice is a flag whose value is one of a list.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("%s%s", oneOf(c.of), suggest(s, c.of))
	}
	c.value = s
	return nil
}

func oneOf(of []string) string { return "must be one of " + strings.Join(of, ", ") }

// suggest ends an error message with the nearest of the valid names, if one is near.
func suggest(s string, of []string) string {
	if n := nearest(s, of); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// nearest is the one of names that s most likely was meant to be; "" when none is near.
func nearest(s string, of []string) string {
	s = strings.ToLower(s)
	best, least := "", len(s)/3+1
	for _, name := range of {
		if d := distance(s, name); d < least || d == least && best == "" {
			best, least = name, d
		}
	}
	if best != "" || len(s) < 3 {
		return best
	}
	for _, name := range of {
		if strings.Contains(name, s) {
			return name
		}
	}
	return ""
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// ruleIDs are the ids of all rules in order of decision.
func ruleIDs() []string {
	ids := make([]string, len(detect.Rules))
	for i, r := range detect.Rules {
		ids[i] = r.ID
	}
	return ids
}

// rules is the flag --rule: repeatable, and a list with commas.
type rules map[string]bool

func (r rules) String() string { return "" }
func (r rules) Type() string   { return "ID" }

func (r rules) Set(s string) error {
	for id := range strings.SplitSeq(s, ",") {
		if !slices.Contains(ruleIDs(), id) {
			return fmt.Errorf("unknown rule %q%s; the rules are %s", id, suggest(id, ruleIDs()), strings.Join(ruleIDs(), ", "))
		}
		r[id] = true
	}
	return nil
}

// seconds is a flag that takes a duration, also as a plain number of seconds.
type seconds time.Duration

func (d *seconds) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}
func (d *seconds) Type() string { return "DURATION" }

func (d *seconds) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		v, err = time.ParseDuration(s + "s")
	}
	if err != nil || v <= 0 {
		return errors.New("must be a positive duration such as 60s or 5m")
	}
	*d = seconds(v)
	return nil
}

// endpoints is the flag --target or --lb: a set of endpoints.
type endpoints struct {
	kind  string // of the value, for help
	ports bool   // may name ports
	set   []pattern
}

// pattern matches endpoints.
type pattern struct {
	prefix netip.Prefix // invalid: any address
	port   uint16       // 0: any
}

func (p pattern) matches(e tcpstate.Endpoint) bool {
	return (p.port == 0 || p.port == e.Port) && (!p.prefix.IsValid() || p.prefix.Contains(e.Addr.Netip()))
}

func (es *endpoints) String() string { return "" }
func (es *endpoints) Type() string   { return es.kind }

func (es *endpoints) Set(s string) error {
	p, err := parsePattern(s)
	if err != nil {
		return err
	}
	if p.port != 0 && !es.ports {
		return errors.New("takes an address or CIDR, without a port")
	}
	es.set = append(es.set, p)
	return nil
}

// matcher is what detect.Options take; nil where nothing was given.
func (es *endpoints) matcher() func(tcpstate.Endpoint) bool {
	if len(es.set) == 0 {
		return nil
	}
	return func(e tcpstate.Endpoint) bool {
		return slices.ContainsFunc(es.set, func(p pattern) bool { return p.matches(e) })
	}
}

// parsePattern reads HOST, HOST:PORT, :PORT, CIDR or CIDR:PORT; IPv6 with a port as
// [ADDR]:PORT.
func parsePattern(s string) (p pattern, err error) {
	host, port := splitPort(s)
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return p, fmt.Errorf("%q is not a port", port)
		}
		p.port = uint16(n)
	}
	if host == "" && p.port != 0 {
		return p, nil
	}
	if strings.HasPrefix(s, "unix:") {
		return p, errors.New("unix sockets are for live; there are none in captures")
	}
	if strings.Contains(host, "/") {
		p.prefix, err = netip.ParsePrefix(host)
		if err != nil {
			return p, fmt.Errorf("%q is not a CIDR such as 10.0.0.0/16", host)
		}
		return pattern{unmapped(p.prefix), p.port}, nil
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		a = a.WithZone("").Unmap()
		p.prefix = netip.PrefixFrom(a, a.BitLen())
		return p, nil
	case port == "" && strings.Trim(host, "0123456789") == "" && host != "":
		return p, fmt.Errorf("%q is neither an address nor a port; for a port write :%s", host, host)
	case strings.Trim(host, "0123456789abcdefABCDEF.:") == "" && strings.ContainsAny(host, ".:"):
		return p, fmt.Errorf("%q is not an IP address", host)
	}
	return p, fmt.Errorf("%q is not an IP address; names are not resolved, for captures show addresses only", host)
}

// unmapped is a prefix of IPv4 addresses in their IPv6 form as one of IPv4 addresses.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// splitPort splits off what stands behind the last colon if that can be a port. What it
// does not understand it returns whole.
func splitPort(s string) (host, port string) {
	if inner, rest, ok := strings.Cut(s, "]"); ok && strings.HasPrefix(s, "[") {
		bits, port, colon := strings.Cut(rest, ":")
		if bits != "" && bits[0] != '/' || colon && port == "" {
			return s, ""
		}
		return inner[1:] + bits, port
	}
	// 2001:db8::8080 is an address; 2001:db8::/32:8080 has a port, and so has :8080.
	colon, slash := strings.LastIndexByte(s, ':'), strings.IndexByte(s, '/')
	switch {
	case colon < 0, colon == len(s)-1, slash > colon, slash < 0 && strings.Contains(s[:colon], ":"):
		return s, ""
	}
	return s[:colon], s[colon+1:]
}

// moment is the flag --since or --until: a time, or one relative to the capture.
type moment struct {
	text  string
	at    time.Time     // valid iff kind is absolute
	after time.Duration // from the first packet, or from midnight
	kind  momentKind
	local bool // read without a zone: --local-time decides
}

type momentKind uint8

const (
	unset momentKind = iota
	absolute
	ofDay    // after midnight of the capture's day
	relative // after its first packet
)

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

var errMoment = errors.New("must be a time such as 2006-01-02T15:04:05Z, '2006-01-02 15:04:05', 15:04:05 (of the capture's day), or +10s (from its first packet)")

func (m *moment) Set(s string) error {
	*m = moment{text: s}
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		d, err := time.ParseDuration(rest)
		if err != nil {
			d, err = time.ParseDuration(rest + "s")
		}
		if err != nil || d < 0 {
			return errMoment
		}
		m.kind, m.after = relative, d
		return nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		m.kind, m.at = absolute, t
		return nil
	}
	m.local = true
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			m.kind, m.at = absolute, t
			return nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			m.kind = ofDay
			m.after = t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
			return nil
		}
	}
	return errMoment
}

// resolve is the moment in ns since the Unix epoch, for a capture whose first packet
// came at first.
func (m *moment) resolve(first int64, zone *time.Location) int64 {
	switch m.kind {
	case absolute:
		t := m.at
		if m.local {
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		}
		return unixNano(t)
	case ofDay:
		y, mon, d := time.Unix(0, first).In(zone).Date()
		h := m.after
		return time.Date(y, mon, d, int(h.Hours()), int(h.Minutes())%60, int(h.Seconds())%60, int(h%time.Second), zone).UnixNano()
	case relative:
		return unixNano(time.Unix(0, first).Add(m.after))
	}
	return 0
}

// unixNano is t in ns since the Unix epoch, or the nearest time that has such a number:
// they end in the years 1677 and 2262.
func unixNano(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < math.MinInt64/int64(time.Second):
		return math.MinInt64
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}
