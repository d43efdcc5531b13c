package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/detect"
)

// Needs is a flag that does nothing unless one of others is given.
type Needs struct {
	Flag string
	What string // the others, for people
	Any  []string
}

// Unused is what is wrong with flags that were given in vain; "": nothing.
func Unused(fs *pflag.FlagSet, all []Needs) string {
	for _, n := range all {
		if f := fs.Lookup(n.Flag); f.Changed && !slices.ContainsFunc(n.Any, fs.Changed) {
			name := "--" + f.Name
			if f.Shorthand != "" {
				name = "-" + f.Shorthand
			}
			return name + " needs " + n.What
		}
	}
	return ""
}

// Choice is a flag whose value is one of a list.
type Choice struct {
	Value string
	Of    []string
}

// OneOf is a choice among of, at first value.
func OneOf(value string, of ...string) Choice { return Choice{value, of} }

func (c *Choice) String() string { return c.Value }
func (c *Choice) Type() string   { return strings.Join(c.Of, "|") }

func (c *Choice) Set(s string) error {
	if !slices.Contains(c.Of, s) {
		return fmt.Errorf("%s%s", oneOf(c.Of), Suggest(s, c.Of))
	}
	c.Value = s
	return nil
}

func oneOf(of []string) string { return "must be one of " + strings.Join(of, ", ") }

// Suggest ends an error message with the nearest of the valid names, if one is near.
func Suggest(s string, of []string) string {
	if n := Nearest(s, of); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// Nearest is the one of names that s most likely was meant to be; "" when none is near.
func Nearest(s string, of []string) string {
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

// RuleIDs are the ids of all rules in order of decision.
func RuleIDs() []string {
	ids := make([]string, len(detect.Rules))
	for i, r := range detect.Rules {
		ids[i] = r.ID
	}
	return ids
}

// Rules is the flag --rule: repeatable, and a list with commas.
type Rules map[string]bool

func (r Rules) String() string { return "" }
func (r Rules) Type() string   { return "ID" }

func (r Rules) Set(s string) error {
	for id := range strings.SplitSeq(s, ",") {
		if !slices.Contains(RuleIDs(), id) {
			return fmt.Errorf("unknown rule %q%s; the rules are %s", id, Suggest(id, RuleIDs()), strings.Join(RuleIDs(), ", "))
		}
		r[id] = true
	}
	return nil
}

// Seconds is a flag that takes a duration, also as a plain number of seconds.
type Seconds time.Duration

func (d *Seconds) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}
func (d *Seconds) Type() string { return "DURATION" }

func (d *Seconds) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		v, err = time.ParseDuration(s + "s")
	}
	if err != nil || v <= 0 {
		return errors.New("must be a positive duration such as 60s or 5m")
	}
	*d = Seconds(v)
	return nil
}

// Zone is a flag whose value is a time zone.
type Zone struct{ *time.Location }

func (z *Zone) String() string {
	if z.Location == nil {
		return ""
	}
	return z.Location.String()
}
func (z *Zone) Type() string { return "ZONE" }

func (z *Zone) Set(s string) error {
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(layout, s); err == nil {
			_, offset := t.Zone()
			z.Location = time.FixedZone(s, offset)
			return nil
		}
	}
	loc, err := time.LoadLocation(s)
	if err != nil || s == "" {
		return errors.New("must be an offset such as +02:00, UTC, Local, or a zone that this system knows, such as Europe/Berlin")
	}
	z.Location = loc
	return nil
}
