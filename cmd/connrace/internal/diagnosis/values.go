package diagnosis

import (
	"regexp"
	"strconv"
	"sync"

	"connrace/detect"
)

// The values of settings are examples: for a load balancer that keeps idle connections for 60 s,
// and for a target that closes them after 5 s. fitted puts those of the case in their place.
var (
	targetValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b(75|76|120|180|240)(_?000)?(s|\b)`) })
	lbValue     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b4(s|\b)`) })
)

// patientValue is that of settings for how long an LB waits for an answer.
var patientValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b120(000|s|\b)`) })

// patient is a setting for how long the LB waits, with a value that is twice what it waited (ns), if that
// is more.
func patient(k detect.Knob, waited int64) detect.Knob {
	if n := 2 * ((waited + 1e9 - 1) / 1e9); n > 120 {
		k.Line = patientValue().ReplaceAllString(k.Line, strconv.FormatInt(n, 10)+"$1")
	}
	return k
}

// spare is by how much the longer timer outlives the shorter one, in seconds, as detect's texts
// have it.
const spare = 5

// fitted is a setting against a target that closes idle connections first, with a value that
// helps: the target's above the LB's timer, the LB's below the target's. ok is false where there
// is none: in seconds nothing lies below a second. Times are in ns, 0 for unknown.
func fitted(k detect.Knob, isLB bool, target, lb int64) (_ detect.Knob, ok bool) {
	const second = int64(1e9)
	switch {
	case isLB && target > 0 && target < 5*second && lbValue().MatchString(k.Line):
		below := (target - second/2) / second
		k.Line = lbValue().ReplaceAllString(k.Line, strconv.FormatInt(below, 10)+"$1")
		return k, below > 0
	case !isLB && lb > 60*second:
		above := (lb+second-1)/second + spare
		k.Line = targetValue().ReplaceAllStringFunc(k.Line, func(s string) string {
			m := targetValue().FindStringSubmatch(s)
			n, _ := strconv.ParseInt(m[1], 10, 64)
			if n == 76 { // which is above another setting
				n = above + 1
			}
			return strconv.FormatInt(max(n, above), 10) + m[2] + m[3]
		})
	}
	return k, true
}
