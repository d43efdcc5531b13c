package report

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// MostStreams is how many streams of a finding are listed for people; JSON has all.
const MostStreams = 100

// Streams says what became of each request that a finding of HTTP/2 is about, where there are
// several: a line each, MostStreams at most, and how many there are more.
func Streams(f *detect.Finding, query bool) (lines []string) {
	if len(f.Requests) < 2 {
		return nil
	}
	for i := range f.Requests {
		if i == MostStreams {
			return append(lines, fmt.Sprintf("… and %d more (JSON has all)", len(f.Requests)-i))
		}
		lines = append(lines, streamLine(&f.Requests[i], query))
	}
	return lines
}

func streamLine(q *detect.StreamRequest, query bool) string {
	l := fmt.Sprintf("stream %d, frame %d", q.ID, q.Frame)
	if name := strings.TrimSpace(text.Clean(q.Method) + " " + text.Path(q.Path, query)); name != "" {
		l += ": " + name
	}
	switch q.State {
	case detect.StreamNoAnswer:
		l += ", no answer"
	case detect.StreamCutOff:
		l += ", cut off"
		if q.Answer.Status > 0 {
			l += fmt.Sprintf(" (status %d)", q.Answer.Status)
		}
		l += " after " + text.Plural(q.Received, "byte")
	case detect.StreamRefused:
		l += ", not processed: safe to repeat"
	}
	if r := q.Retry; r != nil {
		l += fmt.Sprintf("; it came again in frame %d, stream %d of TCP", r.Frame, r.Stream)
	}
	return l
}
