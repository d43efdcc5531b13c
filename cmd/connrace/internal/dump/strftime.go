package dump

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime fills a time into a name, with the conversions of strftime(3) that make sense
// there. Others stay as they are.
func strftime(name string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' || i+1 == len(name) {
			b.WriteByte(name[i])
			continue
		}
		i++
		layout, ok := layouts[name[i]]
		switch {
		case ok:
			b.WriteString(t.Format(layout))
		case name[i] == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case name[i] == 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case name[i] == 'u':
			fmt.Fprint(&b, (int(t.Weekday())+6)%7+1)
		case name[i] == '%':
			b.WriteByte('%')
		default:
			b.WriteString(name[i-1 : i+1])
		}
	}
	return b.String()
}

var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'z': "-0700", 'Z': "MST",
}
