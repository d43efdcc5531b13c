package tcpstate

// Seq is a TCP sequence or acknowledgment number. It wraps, so it is compared by
// serial-number arithmetic (RFC 1982, RFC 9293 §3.4), never with < and >.
type Seq uint32

// Before reports whether a comes before b: a < b on the circle.
func (a Seq) Before(b Seq) bool { return int32(a-b) < 0 }

// After reports whether a comes after b: a > b on the circle.
func (a Seq) After(b Seq) bool { return int32(a-b) > 0 }

// AtOrBefore reports whether a is b or comes before it.
func (a Seq) AtOrBefore(b Seq) bool { return int32(a-b) <= 0 }

// AtOrAfter reports whether a is b or comes after it.
func (a Seq) AtOrAfter(b Seq) bool { return int32(a-b) >= 0 }

// Add returns the number n octets after a.
func (a Seq) Add(n uint32) Seq { return a + Seq(n) }

// Sub returns how many octets a lies after b; negative when it lies before.
func (a Seq) Sub(b Seq) int32 { return int32(a - b) }
