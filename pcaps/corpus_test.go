package pcaps

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"connrace/detect"
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
	for _, r := range detect.Rules {
		for _, kind := range []string{"positive", "near-miss", "healthy"} {
			if shown[r.ID+" "+kind] == 0 {
				t.Errorf("no %s script for %s", kind, r.ID)
			}
		}
	}
}

// split parts a script's name into the rule it is about, if any, and what follows.
func split(name string) (rule, rest string) {
	rest = name
	for _, r := range detect.Rules { // the longest id that fits
		if left, ok := strings.CutPrefix(name, r.ID); ok && (left == "" || left[0] == '-') && len(r.ID) > len(rule) {
			rule, rest = r.ID, strings.TrimPrefix(left, "-")
		}
	}
	return rule, rest
}
