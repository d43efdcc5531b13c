package detect

import (
	"slices"
	"strings"
)

// Fit says for which software a page shows settings; "": for all.
type Fit struct{ Server, LB string }

// hosts are where software runs: their settings fit any.
var hosts = []string{"Linux", "Kubernetes", "AWS"}

// ServerNames are the servers that settings are known of, in the order of the alphabet.
func ServerNames() []string {
	return names(func(r *Rule) []Knob { return r.Servers }, CloseCauses)
}

// LBNames are the load balancers.
func LBNames() []string { return names(func(r *Rule) []Knob { return r.LBs }, nil) }

func names(of func(*Rule) []Knob, causes []*CloseCause) (all []string) {
	add := func(ks []Knob) {
		for _, k := range ks {
			if !slices.Contains(hosts, k.Software) && !slices.Contains(all, k.Software) {
				all = append(all, k.Software)
			}
		}
	}
	for _, r := range Rules {
		add(of(r))
	}
	for _, c := range causes {
		add(c.Knobs)
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(letters(a), letters(b)) })
	return all
}

// Named is the one of names that a user means: in any case, without what is no letter or digit, and
// no longer than it takes to tell it from the others. ok is false where there is none, or several.
func Named(name string, of []string) (full string, ok bool) {
	want := letters(name)
	for _, n := range of {
		switch p := letters(n); {
		case p == want && want != "":
			return n, true
		case want != "" && strings.HasPrefix(p, want):
			ok = full == ""
			full = n
		}
	}
	return full, ok
}

// letters are those of a name and its digits, in lower case.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, strings.ToLower(name))
}
