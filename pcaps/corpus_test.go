package pcaps

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the scripts in canonical form, and crowder.pcap")

// The scripts of the corpus are written as Format writes them.
func TestCanonical(t *testing.T) {
	all, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		name := "scripts/" + s.Name + ".txt"
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := s.Format(); !bytes.Equal(text, want) {
			if !*update {
				t.Errorf("%s is not in canonical form: run go test ./pcaps -update", name)
				continue
			}
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The rules of the catalogue.
var rules = []string{
	"fin-request-crossing", "request-after-fin", "rst-request-crossing", "closed-with-request-outstanding", "response-truncated",
	"reset-in-exchange", "handshake-reset", "early-response-reset", "stale-connection", "accept-queue-overflow", "syn-dropped", "syn-unanswered", "connection-refused",
	"port-reuse", "lb-closed-with-request-outstanding", "rst-after-fin", "keepalive-mismatch",
}

// Each rule has a script that shows it, one that nearly does, and a healthy one that looks
// like it; names say which, and wants agree.
func TestCorpus(t *testing.T) {
	shown := map[string]int{}
	for _, s := range corpus(t) {
		if len(s.About) == 0 {
			t.Errorf("%s says nothing of what it is about", s.Name)
		}
		rule, rest := split(s.Name)
		named := false
		for _, w := range s.Want() {
			if known, _ := split(w.Rule); known != w.Rule {
				t.Errorf("%s wants %s, which is no rule", s.Name, w.Rule)
			}
			named = named || w.Rule == rule
			if strings.HasPrefix(rest, "healthy") && w.Severity != "info" {
				t.Errorf("%s is healthy and wants %s", s.Name, w.String())
			}
		}
		kind := "positive"
		for _, k := range []string{"near-miss", "healthy"} {
			if strings.HasPrefix(rest, k) {
				kind = k
			}
		}
		if rule != "" && named != (kind == "positive") {
			t.Errorf("%s: a %s, but wants the rule: %v", s.Name, kind, named)
		}
		shown[rule+" "+kind]++
	}
	for _, r := range rules {
		for _, kind := range []string{"positive", "near-miss", "healthy"} {
			if shown[r+" "+kind] == 0 {
				t.Errorf("no %s script for %s", kind, r)
			}
		}
	}
}

// split parts a script's name into the rule it is about, if any, and what follows.
func split(name string) (rule, rest string) {
	for _, r := range rules {
		if rest, ok := strings.CutPrefix(name, r); ok && (rest == "" || rest[0] == '-') {
			return r, strings.TrimPrefix(rest, "-")
		}
	}
	return "", name
}
