package report

import (
	"encoding/json"
	"testing"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

func FuzzOptional(f *testing.F) {
	f.Add("/a\x1b\xff\u202e")
	f.Add(`"\"<&>` + "\u2028\\")
	f.Fuzz(func(t *testing.T, s string) {
		var read string
		if b, err := json.Marshal(optional(s)); err != nil || json.Unmarshal(b, &read) != nil || read != text.Clean(s) {
			t.Errorf("%q as JSON: %s, %v", s, b, err)
		}
	})
}

func TestSeconds(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0", 1: "0.000000001", 5001874000: "5.001874", 60e9: "60", 100e6: "0.1", -1500e6: "-1.5", 1<<63 - 1: "9223372036.854775807",
		-1 << 63: "-9223372036.854775808",
	} {
		b, err := json.Marshal(seconds{NS: ns, Known: true})
		if err != nil || string(b) != want {
			t.Errorf("%d ns: %s, %v, want %s", ns, b, err, want)
		}
	}
	if b, _ := json.Marshal(seconds(detect.Duration{})); string(b) != "null" {
		t.Errorf("unknown: %s", b)
	}
}
