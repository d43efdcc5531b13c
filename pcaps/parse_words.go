package pcaps

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"connrace/tcpstate"
)

// How the words of a script's lines are written.

// parseTime reads seconds with up to nine decimals.
func parseTime(s string) (time.Duration, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseUint(whole, 10, 32)
	if err == nil && len(frac) <= 9 {
		var ns uint64
		ns, err = strconv.ParseUint(frac+strings.Repeat("0", 9-len(frac)), 10, 64)
		if err == nil && sec < maxSeconds {
			return time.Duration(sec)*time.Second + time.Duration(ns), nil
		}
	}
	return 0, fmt.Errorf("bad time %q: want seconds like 0.000123", s)
}

func parseFlags(s string) (tcpstate.Flags, error) {
	if s == "none" {
		return 0, nil
	}
	var f tcpstate.Flags
	for _, c := range s {
		i := strings.IndexRune("FSRP.UEW", c)
		if i < 0 || f.Has(1<<i) {
			return 0, fmt.Errorf("bad flags %q: want them as S. P. F. R", s)
		}
		f |= 1 << i
	}
	if f == 0 {
		return 0, errors.New("no flags (none, if so)")
	}
	return f, nil
}

var seqRange = regexp.MustCompile(`^(\d{1,10}):(\d{1,10})\((\d{1,5})\)$`)

// parseRange reads seq:end(len).
func (k *Packet) parseRange(s string) error {
	m := seqRange.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("bad sequence numbers %q: want seq:end(len)", s)
	}
	var n [3]uint64
	for i := range n {
		n[i], _ = strconv.ParseUint(m[i+1], 10, 64) // digits, as matched
	}
	if n[0] >= 1<<32 || n[1] >= 1<<32 || n[2] > maxPayload {
		return fmt.Errorf("sequence numbers %s out of range", s)
	}
	k.Seq, k.Len = tcpstate.Seq(n[0]), int(n[2])
	if k.Seq.Add(uint32(n[2])) != tcpstate.Seq(n[1]) {
		return fmt.Errorf("%d and %d octets do not end at %d", n[0], n[2], n[1])
	}
	return nil
}

var (
	severities  = []string{"error", "warning", "info"}
	confidences = []string{"certain", "likely", "suspected"}
	wantRule    = regexp.MustCompile(`^[a-z][a-z-]*$`)
	wantCheck   = regexp.MustCompile(`^[a-z][a-z_]*=[^=;#]+$`)
)

// parseWant reads a comment: an expectation or just text.
func parseWant(comment string) (*Want, string, error) {
	rest, ok := strings.CutPrefix(comment, "want ")
	if !ok {
		return nil, comment, nil
	}
	text, note, _ := strings.Cut(rest, ";")
	f := strings.Fields(text)
	if len(f) == 0 || !wantRule.MatchString(f[0]) {
		return nil, "", errors.New("want needs a rule's id")
	}
	w := &Want{Rule: f[0], Note: strings.TrimSpace(note)}
	for _, word := range f[1:] {
		switch {
		case slices.Contains(severities, word) && w.Severity+w.Confidence == "" && w.Checks == nil:
			w.Severity = word
		case slices.Contains(confidences, word) && w.Confidence == "" && w.Checks == nil:
			w.Confidence = word
		case wantCheck.MatchString(word):
			key, value, _ := strings.Cut(word, "=")
			w.Checks = append(w.Checks, Check{key, value})
		default:
			return nil, "", fmt.Errorf("want: unexpected %s", word)
		}
	}
	return w, "", nil
}

// line is a line of a section: its words and its comment.
type line struct {
	tokens  []string
	comment string
}

func newLine(s string) (*line, error) {
	l := &line{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '#' {
			l.comment = strings.TrimSpace(s[1:])
			break
		}
		n := strings.IndexAny(s, " \t")
		if s[0] == '"' {
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, fmt.Errorf("bad text %.20s: want it quoted as in Go", s)
			}
			n = len(q)
			if strings.HasPrefix(s[n:], "...") {
				n += len("...")
			}
		}
		if n < 0 {
			n = len(s)
		}
		l.tokens = append(l.tokens, s[:n])
		s = s[n:]
	}
	return l, nil
}

// next takes the next word; "" at the end.
func (l *line) next() string {
	if len(l.tokens) == 0 {
		return ""
	}
	w := l.tokens[0]
	l.tokens = l.tokens[1:]
	return w
}

func (l *line) number(limit uint32) (uint32, error) {
	w := l.next()
	n, err := strconv.ParseUint(w, 10, 32)
	if err != nil || n > uint64(limit) {
		return 0, fmt.Errorf("bad number %q: want 0 to %d", w, limit)
	}
	return uint32(n), nil
}

func (l *line) given(limit uint32) (Number, error) {
	n, err := l.number(limit)
	return Num(n), err
}
