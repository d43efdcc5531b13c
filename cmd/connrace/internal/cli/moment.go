package cli

import (
	"errors"
	"math"
	"strings"
	"time"
)

// Moment is the flag --since or --until: a time, or one relative to the capture.
type Moment struct {
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

// Given reports whether there is one.
func (m *Moment) Given() bool { return m.kind != unset }

// OfDay reports whether it is a time on the day of a capture's first packet.
func (m *Moment) OfDay() bool { return m.kind == ofDay }

func (m *Moment) String() string { return m.text }
func (m *Moment) Type() string   { return "TIME" }

var errMoment = errors.New("must be a time such as 2006-01-02T15:04:05Z, '2006-01-02 15:04:05', 15:04:05 (of the capture's day), or +10s (from its first packet)")

func (m *Moment) Set(s string) error {
	*m = Moment{text: s}
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

// At is the moment in ns since the Unix epoch, for a capture whose first packet
// came at first.
func (m *Moment) At(first int64, zone *time.Location) int64 {
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

// After reports whether m lies after o in any capture: where they are times of different
// kinds, that hangs on the first packet.
func (m *Moment) After(o *Moment) bool {
	return m.kind == o.kind && m.local == o.local && (m.at.After(o.at) || m.after > o.after)
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
