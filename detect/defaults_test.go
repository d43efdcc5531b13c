package detect

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTargetHints(t *testing.T) {
	ms := func(f float64) int64 { return int64(f * 1e6) }
	for _, tt := range []struct {
		name string
		gap  int64
		want []string // the software, in order; "" alone: none
	}{
		{"the reference incident", ms(5001.874), []string{"Node.js before", "uvicorn", "Apache"}},
		{"Node with its buffer", ms(6001), []string{"Node.js from 22.19"}},
		{"measured a little early", ms(4997), []string{"Node.js before", "uvicorn", "Apache"}},
		{"below every timer", ms(4990), nil},
		{"a sweep, late", ms(2900), []string{"gunicorn"}},
		{"later than a sweep", ms(3200), nil},
		{"half a second late", ms(5500), []string{"Node.js before", "uvicorn", "Apache"}},
		{"Puma's 0.2 s", ms(20200), []string{"Puma before 7", "Tomcat with"}},
		{"between two, the closer one", ms(66010), []string{"Node.js from 26"}},
		{"between two, neither close", ms(65900), []string{"Puma from 7"}},
		{"no timer at all", ms(44), nil},
		{"unknown", -1, nil},
		{"zero", 0, nil},
		{"hours", 1 << 62, nil},
	} {
		got := targetHints(tt.gap, nil, nil)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			continue
		}
		for i, w := range tt.want {
			if !strings.HasPrefix(got[i], "fits the default of "+w) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

func TestLBHints(t *testing.T) {
	for gap, want := range map[time.Duration][]string{
		60*time.Second + 20*time.Millisecond: {"ALB", "nginx", "Varnish"},
		90 * time.Second:                     {"Go", "Traefik", "Heroku"},
		time.Hour:                            {"Envoy", "Istio"},
		59 * time.Second:                     nil,
	} {
		got := lbHints(int64(gap), nil)
		if len(got) != len(want) {
			t.Errorf("%v: %q, want %q", gap, got, want)
			continue
		}
		for i, w := range want {
			if !strings.HasPrefix(got[i], "fits the default of "+w) {
				t.Errorf("%v: %q, want %q", gap, got, want)
			}
		}
	}
}

// Of known software its own defaults are named, or none.
func TestHintsOfKnownSoftware(t *testing.T) {
	if got := targetHints(int64(5*time.Second), &Software{Name: "uvicorn"}, nil); len(got) != 1 || got[0] != "fits the default of uvicorn (--timeout-keep-alive 5 s)" {
		t.Errorf("%q", got)
	}
	if got := targetHints(int64(5*time.Second), &Software{Name: "gunicorn"}, nil); got != nil {
		t.Errorf("%q", got)
	}
}

// What it cannot be is not named, however well its default fits.
func TestHintsOfExcluded(t *testing.T) {
	if got := targetHints(int64(2900*time.Millisecond), nil, []string{"gunicorn"}); got != nil {
		t.Errorf("%q", got)
	}
	if got := LikelyKnobs(int64(2900*time.Millisecond), []string{"gunicorn"}); got != nil {
		t.Errorf("%v", got)
	}
}

// The table of defaults is complete: each that a setting's note speaks of is in it, by the same
// value, with its source; and what it lists is about settings that are shown, or closes idle
// connections.
func TestDefaults(t *testing.T) {
	all := slices.Concat(targetDefaults, lbDefaults)
	knobs := allKnobs()
	for _, d := range all {
		of := func(k Knob) bool { return k.Software == d.Software && strings.Contains(k.Line+" "+k.Note, d.Setting) }
		switch {
		case d.Software == "" || d.Value == "" || !strings.HasPrefix(d.Source, "["):
			t.Errorf("%+v lacks something", d)
		case d.Idle == 0 && (d.Setting == "" || !slices.ContainsFunc(knobs, of)):
			t.Errorf("%+v is of no setting that is shown", d)
		}
	}
	for _, k := range knobs {
		if !strings.Contains(k.Note, "default") {
			continue
		}
		if !slices.ContainsFunc(all, func(d Default) bool {
			value, _, _ := strings.Cut(d.Value, ",")
			return k.Software == d.Software && (strings.Contains(k.Line, d.Setting) || strings.Contains(k.Note, d.Setting)) &&
				(strings.Contains(k.Note, value) || strings.Contains(k.Note, "the default") && strings.Contains(k.Line, strings.Fields(value)[0]))
		}) {
			t.Errorf("%s: %q (%s): that default is not in the table", k.Software, k.Line, k.Note)
		}
	}
}

// A setting that is what the software does anyway changes nothing for who pastes it. Those that take
// back what somebody has set say so.
func TestSettingsChangeSomething(t *testing.T) {
	all := slices.Concat(targetDefaults, lbDefaults)
	for _, k := range allKnobs() {
		if strings.Contains(k.Note, "if it was set") {
			continue
		}
		if strings.Contains(k.Note, "the default") {
			t.Errorf("%s: %q (%s) is the default", k.Software, k.Line, k.Note)
		}
		for _, d := range all {
			if d.Software != k.Software || d.Setting == "" {
				continue
			}
			if _, set, ok := strings.Cut(k.Line, d.Setting); ok && (strings.Trim(set, " ;=:") == d.Value || amount(set) != "" && amount(set) == amount(d.Value)) {
				t.Errorf("%s: %q is the default, %s", k.Software, k.Line, d.Value)
			}
		}
	}
}

// amount is a value that follows a setting, without how it is written: "75s", "75_000", "=75" and "75 s" are one.
func amount(s string) string {
	s = strings.TrimLeft(s, " =:\"({")
	end := strings.IndexFunc(s, func(r rune) bool { return !(r >= '0' && r <= '9' || r == '_' || r == '-') })
	if end < 0 {
		end = len(s)
	}
	return strings.TrimSuffix(strings.ReplaceAll(s[:end], "_", ""), "000")
}

func TestLikelyKnobs(t *testing.T) {
	got := LikelyKnobs(5001874000, nil)
	var names []string
	for _, k := range got {
		names = append(names, k.Software)
	}
	if want := []string{"Node.js", "uvicorn", "Apache"}; !slices.Equal(names, want) {
		t.Errorf("settings for a gap of 5 s: %q, want %q", names, want)
	}
	if got := LikelyKnobs(44e6, nil); got != nil {
		t.Errorf("settings for a gap of 44 ms: %v", got)
	}
	for _, d := range targetDefaults {
		if d.Idle > 0 && !slices.ContainsFunc(keepAliveKnobs, func(k Knob) bool { return k.Software == d.Software }) {
			t.Errorf("no keep-alive setting is listed for %s", d.Software)
		}
	}
}

func TestLateSoftware(t *testing.T) {
	for late, want := range map[time.Duration]string{
		time.Second: "Node.js", 1001 * time.Millisecond: "Node.js", 200 * time.Millisecond: "Puma",
		0: "", 100 * time.Millisecond: "", 500 * time.Millisecond: "", 2 * time.Second: "", -time.Second: "",
	} {
		got := ""
		if s := lateSoftware(int64(late)); s != nil {
			got = s.Name
		}
		if got != want {
			t.Errorf("%v late: %q, want %q", late, got, want)
		}
	}
}
