// Joined tells whether joined captures of both ends tell each failed try exactly once:
//
//	go run ./.ci/joined CONNRACE DIR…
//
// Each DIR holds cases, directories with lb.pcap[ng], target.pcap[ng] and truth.json, which says by the load
// balancer's log what failed. It exits 1 where a failure is missed, told twice or made up, or where the two
// captures are not joined.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fits are the classes of failed tries, with the rules that name their cause.
var fits = map[string][]string{
	"keepalive_race":           append(slices.Clone(race), "stale-connection"),
	"closed_while_outstanding": {"closed-with-request-outstanding", "response-truncated", "rst-request-crossing", "fin-request-crossing", "request-after-fin"},
	"closed_mid_response":      {"response-truncated"},
	"syn_dropped":              {"syn-dropped", "accept-queue-overflow"},
	"syn_blackholed":           {"syn-unanswered"},
	"accept_queue_overflow":    {"accept-queue-overflow"},
	"refused":                  {"connection-refused"},
	"lb_timeout":               {"lb-closed-with-request-outstanding", "accept-queue-overflow"},
	"stale":                    {"stale-connection", "path-loss", "reset-in-exchange"},
	"mtu":                      {"path-loss"},
	"h2_stream_reset":          {"stream-reset", "response-truncated"},
	"h2_goaway_refused":        append(slices.Clone(race), "stream-reset"),
}

var (
	race = []string{"fin-request-crossing", "request-after-fin", "rst-request-crossing", "closed-with-request-outstanding"}
	// connects are those of which no request got onto the wire, with the rules for them.
	connects     = []string{"syn_dropped", "syn_blackholed", "refused"}
	connectRules = []string{"syn-dropped", "syn-unanswered", "connection-refused", "accept-queue-overflow"}
	// undecided are those that packets cannot decide: found or not, both is right.
	undecided = []string{"unknown", "client_abort", "reset_after_response", "early_response_reset"}
)

type truth struct {
	LB       string
	Requests []request
}

type request struct {
	ID          string
	T, MS       float64
	Class       string
	FirstTry    string `json:"first_try"`
	FailedTries int    `json:"failed_tries"`
	Tries       []struct {
		LocalPort int `json:"local_port"`
	}
}

// try is one that failed, or may have.
type try struct {
	*request
	class string
	by    *finding
}

func (t *try) connect() bool { return slices.Contains(connects, t.class) }

type head struct{ Path *string }

type doc struct {
	Joined   []struct{ Connections int }
	Findings []struct {
		Rule, Severity, Confidence string
		Lost, Open                 bool
		LB                         *string
		Time                       time.Time
		Request                    *head
		Requests                   []head
		Evidence                   []struct{ Time *time.Time }
	}
}

// finding is what is told of one try.
type finding struct {
	rule, path  string
	port        int
	first, last float64
	sure        bool // it is an error, no warning
	used        bool
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// found are the failures that a report tells, one for each request of HTTP/2.
func (d *doc) found() (all []*finding) {
	for i := range d.Findings {
		f := &d.Findings[i]
		if !f.Lost && !f.Open {
			continue
		}
		x := finding{rule: f.Rule, sure: f.Severity == "error", first: seconds(f.Time), last: seconds(f.Time)}
		if f.LB != nil {
			x.port, _ = strconv.Atoi((*f.LB)[strings.LastIndex(*f.LB, ":")+1:])
		}
		for _, e := range f.Evidence {
			if e.Time != nil {
				x.first, x.last = min(x.first, seconds(*e.Time)), max(x.last, seconds(*e.Time))
			}
		}
		heads := f.Requests
		if len(heads) == 0 {
			heads = []head{{}}
			if f.Request != nil {
				heads[0] = *f.Request
			}
		}
		for _, h := range heads {
			one := x
			if h.Path != nil {
				one.path = *h.Path
			}
			all = append(all, &one)
		}
	}
	return all
}

// ties is how surely a finding stands on a try: 3 by its path, 2 by port and time, 1 by time, 0 not.
func (f *finding) ties(t *try, pooled bool) int {
	switch {
	case strings.Contains(f.path, "/r/"+t.ID):
		return 3
	case strings.Contains(f.path, "/r/") && !t.connect():
		return 0
	case f.last < t.T-0.15 || f.first > t.T+t.MS/1000+0.6:
		return 0
	}
	ports := false
	for _, x := range t.Tries {
		if ports = ports || x.LocalPort != 0; x.LocalPort == f.port && f.port != 0 {
			return 2
		}
	}
	if ports && !(t.connect() && pooled) || t.class != "" && t.connect() != slices.Contains(connectRules, f.rule) {
		return 0
	}
	return 1
}

// match gives each try at most one finding, the surest first.
func match(all []*finding, tries []*try, pooled bool) {
	type pair struct {
		f    *finding
		t    *try
		sure int
		off  bool // by a rule that does not fit
		far  float64
	}
	var pairs []pair
	for _, t := range tries {
		for _, f := range all {
			if n := f.ties(t, pooled); n > 0 && !f.used {
				pairs = append(pairs, pair{f, t, n, !slices.Contains(fits[t.class], f.rule), max(f.first-t.T, t.T-f.first)})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		off := 0
		if a.off != b.off {
			if off = -1; a.off {
				off = 1
			}
		}
		return cmp.Or(cmp.Compare(b.sure, a.sure), off, cmp.Compare(a.far, b.far))
	})
	for _, p := range pairs {
		if !p.f.used && p.t.by == nil {
			p.f.used, p.t.by = true, p.f
		}
	}
}

// sums are what came of cases.
type sums struct{ cases, tries, told, cause, extra, apart int }

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: go run ./.ci/joined CONNRACE DIR…")
		os.Exit(2)
	}
	var all sums
	for _, root := range os.Args[2:] {
		names, err := filepath.Glob(filepath.Join(root, "*", "truth.json"))
		for _, name := range names {
			if err = errors.Join(err, all.one(os.Args[1], filepath.Dir(name))); err != nil {
				break
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "joined:", err)
			os.Exit(2)
		}
	}
	fmt.Printf("JOINED %d cases: told once %d/%d cause %d/%d false %d apart %d\n", all.cases, all.told, all.tries, all.cause, all.tries, all.extra, all.apart)
	if all.cases == 0 || all.told < all.tries || all.cause < all.tries || all.extra+all.apart > 0 {
		os.Exit(1)
	}
}

// one joins the captures of a case and holds what is told against its truth.
func (s *sums) one(tool, dir string) error {
	var files []string
	var octets []byte
	for _, end := range []string{"lb", "target"} {
		names, err := filepath.Glob(filepath.Join(dir, end+".pcap*"))
		if err != nil || len(names) == 0 {
			return fmt.Errorf("%s: no capture of the %s (%v)", dir, end, err)
		}
		b, err := os.ReadFile(names[0])
		if err != nil {
			return err
		}
		files, octets = append(files, names[0]), append(octets, b...)
	}
	b, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	var t truth
	if err = errors.Join(err, json.Unmarshal(b, &t)); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	out, err := exec.Command(tool, append([]string{"analyze", "--format", "json"}, files...)...).Output()
	var d doc
	if err = errors.Join(err, json.Unmarshal(out, &d)); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	name := filepath.Base(dir)
	plain := !strings.HasPrefix(name, "s02") && !strings.HasPrefix(name, "h") // else no path is to be found in the octets
	opaque := strings.HasPrefix(name, "h") && strings.HasSuffix(name, "tls")
	var failed, may []*try
	for i := range t.Requests {
		r := &t.Requests[i]
		class := r.Class
		if class == "ok_after_retry" {
			class = r.FirstTry
		}
		for range max(r.FailedTries, 1) {
			x := &try{request: r, class: class}
			switch _, is := fits[class]; {
			case slices.Contains(undecided, class), is && opaque && !x.connect():
				x.class = ""
				may = append(may, x)
			case is && (x.connect() || !plain || bytes.Contains(octets, []byte("/r/"+r.ID))):
				failed = append(failed, x)
			}
		}
	}
	all, pooled := d.found(), t.LB == "goproxy"
	match(all, failed, pooled)
	match(all, may, pooled)

	s.cases++
	s.tries += len(failed)
	if len(d.Joined) == 0 {
		s.apart++
		fmt.Println(name, "is not joined")
	}
	for _, x := range failed {
		switch {
		case x.by == nil:
			fmt.Printf("%s: nothing tells of %s %s at %.3f\n", name, x.class, x.ID, x.T)
			continue
		case slices.Contains(fits[x.class], x.by.rule):
			s.cause++
		default:
			fmt.Printf("%s: %s %s is told as %s\n", name, x.class, x.ID, x.by.rule)
		}
		s.told++
	}
	for _, f := range all {
		if !f.used && f.sure {
			s.extra++
			fmt.Printf("%s: %s of %q, port %d, at %.3f is no failed try, or one that is told already\n", name, f.rule, f.path, f.port, f.first)
		}
	}
	return nil
}
