package detect

import "strconv"

// says joins texts and figures: what findings say that outages have thousands of. fmt, which may keep what it is given
// and looks at each format anew, would take a twelfth of all that such an outage costs.
func says(parts ...any) string {
	room := [200]byte{}
	b := room[:0]
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case int:
			b = strconv.AppendInt(b, int64(p), 10)
		case uint32:
			b = strconv.AppendUint(b, uint64(p), 10)
		case uint64:
			b = strconv.AppendUint(b, p, 10)
		default:
			panic("says: neither a text nor a figure")
		}
	}
	return string(b)
}
