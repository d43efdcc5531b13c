package main

import (
	"bytes"
	"encoding/json"
	"iter"
	"maps"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// The problems add up: each finding belongs to one, and what failed is what failed of them.
func TestProblemsAddUp(t *testing.T) {
	for name, data := range capturesOf(t) {
		code, stdout, stderr := after(t, t.Context(), bytes.NewReader(data), "--format", "json", "-")
		if code != cli.ExitOK {
			t.Fatalf("%s: exit %d: %s", name, code, stderr)
		}
		type tries struct {
			Failed uint64 `json:"failed_tries"`
			Open   uint64 `json:"open_tries"`
		}
		var r struct {
			Totals   tries
			Problems []struct {
				tries
				Title, What, Why, Change string
				Findings                 []int
				Count                    int
				Rules                    map[string]int
				Check                    []string
			}
			Findings []struct {
				ID   int
				Rule string
			}
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var sum tries
		rule := map[int]string{}
		for _, f := range r.Findings {
			rule[f.ID] = f.Rule
		}
		for i, q := range r.Problems {
			sum.Failed, sum.Open = sum.Failed+q.Failed, sum.Open+q.Open
			if i > 0 && q.Failed > r.Problems[i-1].Failed {
				t.Errorf("%s: problem %d stands behind one of fewer failed tries", name, i+1)
			}
			if q.Title == "" || q.What == "" || q.Why == "" || q.Change == "" || len(q.Check) == 0 || q.Count != len(q.Findings) {
				t.Errorf("%s: problem %d: %+v", name, i+1, q)
			}
			for _, id := range q.Findings {
				if q.Rules[rule[id]]--; q.Rules[rule[id]] < 0 {
					t.Errorf("%s: problem %d has finding %d of %q", name, i+1, id, rule[id])
				}
				delete(rule, id)
			}
			for id, n := range q.Rules {
				if n != 0 {
					t.Errorf("%s: problem %d counts %d findings of %s that it does not list", name, i+1, n, id)
				}
			}
		}
		if sum != r.Totals || len(rule) > 0 {
			t.Errorf("%s: the problems add up to %+v, the totals are %+v; of none are %v", name, sum, r.Totals, rule)
		}
	}
}

// scriptCaptures are the scripts of pcaps as captures, each with its name.
func scriptCaptures(t *testing.T) iter.Seq2[string, []byte] {
	t.Helper()
	corpus, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, []byte) bool) {
		for _, s := range corpus {
			var b bytes.Buffer
			if err := s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
				t.Fatal(err)
			}
			if !yield(s.Name, b.Bytes()) {
				return
			}
		}
	}
}

// capturesOf are all captures in pcaps, by name.
func capturesOf(t *testing.T) map[string][]byte {
	t.Helper()
	all := maps.Collect(scriptCaptures(t))
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reals {
		data, err := pcaps.File(r.File)
		if err != nil {
			t.Fatal(err)
		}
		all[r.File] = data
	}
	return all
}
