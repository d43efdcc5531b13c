package detect_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
)

// A host is gone only where nothing comes from it: neither of listeners, nor on connections that it
// had, not even the rest of an answer that is long.
func TestGone(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "pcaps", "scripts", "syn-unanswered-dead-host-fin.txt"))
	if err != nil {
		t.Fatal(err)
	}
	const hosts, packets = "-- hosts --\n", "-- packets --\n"
	alive := []string{
		` 0.000000 down > t3   S  0:0(0) mss 1460 wscale 7 sackOK`,
		` 0.020000 t3   > down S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK`,
		` 0.020100 down > t3   .  1:1(0) ack 1`,
		` 0.021000 down > t3   P. 1:33(32) ack 1 "GET /r/3 HTTP/1.1\r\nHost: app\r\n\r\n"`,
		` 0.041000 t3   > down P. 1:43(42) ack 33 "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nok"`,
		` 9.000000 t3   > down P. 43:143(100) ack 33`,
		` 9.000100 down > t3   .  33:33(0) ack 143`,
	}
	for _, tt := range []struct {
		name  string
		lines []string
		gone  bool
	}{{"nothing came", nil, true}, {"an answer went on", alive, false}, {"it ended before", alive[:5], true}} {
		text := string(b)
		if tt.lines != nil {
			text = strings.Replace(text, hosts, hosts+"down   10.0.0.2:41003 isn 77\nt3     10.0.1.9:8080  isn 88\n", 1)
			head, body, _ := strings.Cut(text, packets)
			lines := append(strings.Split(strings.TrimSuffix(body, "\n"), "\n"), tt.lines...)
			slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(pad(a), pad(b)) })
			text = head + packets + strings.Join(lines, "\n") + "\n"
		}
		s, err := pcaps.Parse(tt.name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		is := slices.ContainsFunc(run(s).Findings, func(f *detect.Finding) bool { return f.Gone })
		if is != tt.gone {
			t.Errorf("%s: gone %v", tt.name, is)
		}
	}
}

// pad is the time of a packet's line, to be compared.
func pad(line string) string {
	at := strings.Fields(line)[0]
	return strings.Repeat("0", 12-len(at)) + at
}
