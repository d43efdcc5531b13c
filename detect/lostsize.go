package detect

import (
	"fmt"
	"strings"
)

// Whether segments were lost for their size: what the path's MTU is too small for is lost each time, and
// what is smaller arrives.

// Size says whether what was lost was lost for its size.
type Size uint8

// What is known of it.
const (
	SizeUnknown Size = iota
	TooLarge         // all that were as large were lost, and smaller ones arrived
	AnySize          // the size was not why: others as large arrived, or nearly every path carries it
)

// leastMTU is what nearly every path carries, of IPv6 every one (RFC 8200 §5), less the headers:
// smaller segments are not lost for their size.
const leastMTU = 1280 - 40 - 20

// sizeOf says what the octets of the smallest segment that was lost tell, and those of the largest that
// arrived meanwhile; 0: of those nothing is known.
func sizeOf(lost, delivered uint32) Size {
	switch {
	case lost == 0:
		return SizeUnknown
	case lost <= leastMTU || delivered >= lost:
		return AnySize
	case delivered > 0:
		return TooLarge
	}
	return SizeUnknown
}

// Size says whether what was lost was lost for its size.
func (m *Measures) Size() Size {
	switch {
	case m.ICMP == nil:
	case m.ICMP.TooBig():
		return TooLarge
	default:
		return AnySize
	}
	return sizeOf(m.SmallestLost, m.LargestDelivered)
}

// hole says of a finding about octets that never came, however often they were sent, what their number tells:
// in segments of which sizes is not known, but they are as large as can be. delivered are the octets of
// the largest segment on that way that came meanwhile; 0: of those nothing is known.
func (f *Finding) hole(missing, delivered uint32) {
	if missing > leastMTU && 0 < delivered && delivered <= leastMTU {
		f.own = &advice{
			fmt.Sprintf("%d bytes in a row were lost on the way, and segments of up to %d bytes passed meanwhile: most likely an MTU. %s", missing, delivered, blackHole),
			withBoth(mtuFix),
		}
	}
}

// blackHole says what an MTU has to do with it.
const blackHole = "The path carries less than its ends believe, and the ICMP messages that say so are filtered (a PMTU black hole)."

func withBoth(fix string) string {
	return "Compare captures at both ends. " + strings.ToUpper(fix[:1]) + fix[1:]
}

// sizes are those of the smallest segment that was lost and of the largest that reached the same target in
// that time. What reached it from several hosts may have come by other ways: it shows what arrives, and
// not what they all carry.
func (x *Facts) sizes(s *silence) (lost, delivered uint32) {
	i := 0
	if !s.fromLB {
		i = 1
	}
	r := &x.of.told.reached[i]
	delivered = r.largest(s.first.Time, s.until)
	if since := r.largest(s.first.Time+second, s.until); delivered >= s.least && since < s.least {
		if s.least > leastMTU {
			return 0, 0 // it may have passed before the path lost the first one
		}
		delivered = since
	}
	if s.fromLB {
		delivered = max(delivered, x.of.told.waits.largestAcked(s.first.Time, s.until))
	}
	if delivered >= s.least && len(x.of.lbs) > 1 && s.least > leastMTU {
		return 0, 0
	}
	return s.least, delivered
}

// sized gives a finding the sizes of what was lost at a place, and the cause and the fix that follow from them.
func (f *Finding) sized(where string, lost, delivered uint32) {
	var cause, fix string
	switch sizeOf(lost, delivered) {
	case SizeUnknown:
		return
	case TooLarge:
		cause = fmt.Sprintf("Segments of %d bytes were lost %s, and those of up to %d passed: most likely an MTU. %s", lost, where, delivered, blackHole)
		fix = mtuFix
	case AnySize:
		cause = fmt.Sprintf("Something %s drops these segments. It is not the MTU: segments of %d bytes were lost, ", where, lost)
		if lost <= leastMTU {
			cause += "which nearly every path carries."
		} else {
			cause += fmt.Sprintf("and others of %d bytes passed.", delivered)
		}
		fix = filterFix
	}
	f.Measures.SmallestLost, f.Measures.LargestDelivered = lost, delivered
	f.own = &advice{cause, withBoth(fix)}
}
