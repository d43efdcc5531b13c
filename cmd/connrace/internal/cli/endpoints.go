package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"connrace/tcpstate"
)

// Endpoints is the flag --target or --lb: a set of endpoints.
type Endpoints struct {
	Kind     string // of the value, for help
	Ports    bool   // may name ports
	Patterns []pattern
	Given    []string // the values, as they were given
}

// pattern matches endpoints.
type pattern struct {
	Prefix netip.Prefix // invalid: any address
	Port   uint16       // 0: any
}

func (p pattern) matches(e tcpstate.Endpoint) bool {
	return (p.Port == 0 || p.Port == e.Port) && (!p.Prefix.IsValid() || p.Prefix.Contains(e.Addr.Netip()))
}

func (es *Endpoints) String() string { return "" }
func (es *Endpoints) Type() string   { return es.Kind }

func (es *Endpoints) Set(s string) error {
	p, err := parsePattern(s)
	if err != nil {
		return err
	}
	if p.Port != 0 && !es.Ports {
		return errors.New("takes an address or CIDR, without a port")
	}
	es.Patterns, es.Given = append(es.Patterns, p), append(es.Given, s)
	return nil
}

// Matcher is what detect.Options take; nil where nothing was given.
func (es *Endpoints) Matcher() func(tcpstate.Endpoint) bool {
	if len(es.Patterns) == 0 {
		return nil
	}
	return func(e tcpstate.Endpoint) bool {
		return slices.ContainsFunc(es.Patterns, func(p pattern) bool { return p.matches(e) })
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
		p.Port = uint16(n)
	}
	if host == "" && p.Port != 0 {
		return p, nil
	}
	if strings.HasPrefix(s, "unix:") {
		return p, errors.New("unix sockets are for live; there are none in captures")
	}
	if strings.Contains(host, "/") {
		p.Prefix, err = netip.ParsePrefix(host)
		if err != nil {
			return p, fmt.Errorf("%q is not a CIDR such as 10.0.0.0/16", host)
		}
		return pattern{unmapped(p.Prefix), p.Port}, nil
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		a = a.WithZone("").Unmap()
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
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
