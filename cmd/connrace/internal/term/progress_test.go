package term

import (
	"testing"
	"time"
	"unicode/utf8"
)

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		name       string
		read, size int64
		took       time.Duration
		want       string
	}{
		{"a.pcap", 250e6, 1000e6, 2 * time.Second, "a.pcap [####............]  25 % of 1.0 GB  125 MB/s  6s left"},
		{"-", 1500, -1, time.Second, "-  1.5 kB  1.5 kB/s"},
		{"a.pcap", 0, 10, 0, "a.pcap [................]   0 % of 10 B  0 B/s  ? left"},
		{"a.pcap", 20, 10, time.Second, "a.pcap [################] 100 % of 10 B  20 B/s  0s left"},
	} {
		if got := bar(tt.name, tt.read, tt.size, tt.took); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	long := bar("a-very-long-name-of-a-capture-file.pcap", 5e9, 10e9, time.Minute)
	if n := utf8.RuneCountInString(long); n > 80 {
		t.Errorf("%d columns: %s", n, long)
	}
}
