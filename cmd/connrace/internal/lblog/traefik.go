package lblog

import (
	"strings"
	"time"
)

// traefikLine parses a line of Traefik's access log in its default form, CLF and more ("Access Logs"), whose time is when the
// request came:
//
//	... "user agent" number "router" "server URL" 12ms
func traefikLine(line string, _ *time.Location) (e *Entry, ok bool) {
	quote := strings.LastIndexByte(line, '"')
	took, found := strings.CutSuffix(line[quote+1:], "ms")
	if !found || quote < 0 {
		return nil, false
	}
	d, timed := parseSeconds(strings.TrimSpace(took))
	e, _, ok = combinedLine(line)
	if e == nil || !timed {
		return nil, ok && timed
	}
	server := line[strings.LastIndexByte(line[:quote], '"')+1 : quote] // quotes before it are not escaped
	_, address, _ := strings.Cut(server, "://")
	e.Kind, e.Start = Traefik, e.End
	e.End += d / 1000
	e.Target, _ = parseEndpoint(strings.TrimSuffix(address, "/"))
	if e.Target == (endpoint{}) && e.Status == 503 {
		e.NoTarget, e.Why = true, "Traefik had no server to send it to"
	}
	return e, true
}
