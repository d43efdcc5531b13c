package cli

import (
	"errors"
	"strconv"
	"strings"

	"connrace/cmd/connrace/internal/recorder"
)

// Size is a flag that takes a number of bytes: 64MB, 64MiB, 1G, 1000000.
type Size int64

var units = []struct {
	name string
	n    int64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"tib", 1 << 40},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"tb", 1e12},
	{"k", 1 << 10},
	{"m", 1 << 20},
	{"g", 1 << 30},
	{"t", 1 << 40},
	{"b", 1},
	{"", 1},
}

var errSize = errors.New("must be a size such as 64MB, 1GiB or 500000")

// parseSize reads a number and a unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.ToLower(strings.TrimSpace(s)), "bikmgt")
	unit := strings.ToLower(strings.TrimSpace(s))[len(digits):]
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !(v >= 0) { // nor NaN
		return 0, errSize
	}
	for _, u := range units {
		if u.name == unit {
			if v *= float64(u.n); v >= 1<<62 {
				return 0, errSize
			}
			return int64(v), nil
		}
	}
	return 0, errSize
}

func sizeText(n int64) string {
	for _, u := range units[:4] {
		if n != 0 && n%u.n == 0 && n/u.n < 1<<10 {
			return strconv.FormatInt(n/u.n, 10) + strings.ToUpper(u.name[:1]) + "iB"
		}
	}
	return strconv.FormatInt(n, 10)
}

func (z *Size) String() string { return sizeText(int64(*z)) }
func (z *Size) Type() string   { return "SIZE" }

func (z *Size) Set(s string) error {
	n, err := parseSize(s)
	if err != nil || n == 0 {
		return errSize
	}
	*z = Size(n)
	return nil
}

// Millions is tcpdump's -C: a number of millions of bytes, or one with a suffix.
type Millions int64

func (m *Millions) String() string {
	if *m == 0 {
		return ""
	}
	return sizeText(int64(*m))
}
func (m *Millions) Type() string { return "SIZE" }

func (m *Millions) Set(s string) error {
	n, err := parseSize(s)
	if err != nil || n == 0 {
		return errors.New("must be a number of millions of bytes, or one with a suffix such as 100m")
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		n *= 1e6
	}
	*m = Millions(n)
	return nil
}

// Limit is a flag that bounds files by number, size or both: 1000, 500MB, 1000,500MB.
type Limit recorder.Limit

func (l *Limit) String() string {
	var parts []string
	if l.Files > 0 {
		parts = append(parts, strconv.Itoa(l.Files))
	}
	if l.Bytes > 0 {
		parts = append(parts, sizeText(l.Bytes))
	}
	return strings.Join(parts, ",")
}
func (l *Limit) Type() string { return "LIMIT" }

func (l *Limit) Set(s string) error {
	var x Limit
	for part := range strings.SplitSeq(s, ",") {
		if n, err := strconv.Atoi(part); err == nil && n > 0 && x.Files == 0 {
			x.Files = n
			continue
		}
		n, err := parseSize(part)
		if err != nil || n == 0 || x.Bytes != 0 {
			return errors.New("must be a number of files, a size such as 500MB, or both: 1000,500MB")
		}
		x.Bytes = n
	}
	*l = x
	return nil
}
