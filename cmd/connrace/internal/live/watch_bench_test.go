package live

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// BenchmarkWatch is all that live does with small packets behind the ring: besides what
// BenchmarkLive of capture measures, packets are kept for --evidence, written by -w, and
// the clock is looked at.
func BenchmarkWatch(b *testing.B) {
	const conns = 1000
	for _, c := range []struct {
		name string
		args []string
	}{{"plain", nil}, {"evidence", []string{"--evidence", "ev"}}, {"write", []string{"-w", "x.pcapng"}}} {
		b.Run(c.name, func(b *testing.B) {
			b.Chdir(b.TempDir())
			l, fs := NewFlags()
			if err := fs.Parse(append([]string{"-i", "fake0", "--format", "jsonl", "-q"}, c.args...)); err != nil {
				b.Fatal(err)
			}
			var stderr bytes.Buffer
			w := newWatch(b.Context(), &cli.Env{Stdin: nil, Stdout: io.Discard, Stderr: &stderr}, l, &fakeSource{stop: make(chan struct{}, 1)})
			if err := w.openOutputs(); err != nil {
				b.Fatal(err)
			}
			w.start(nil)
			number := uint64(0)
			feed := func(fs []pcaps.Frame) {
				for len(fs) > 0 {
					n := min(len(fs), len(w.Batch))
					for i, f := range fs[:n] {
						number++
						w.Batch[i] = capture.Frame{Number: number, Time: f.Time, LinkType: capture.LinkEthernet, Length: uint32(f.Length), Data: f.Data}
					}
					now := time.Now()
					w.advance(w.Batch[:n], now)
					w.housekeeping(false, now)
					fs = fs[n:]
				}
			}
			s := pcaps.NewSteady(conns, 30, 0)
			feed(pcaps.Opening(conns))
			before := number
			b.ReportAllocs()
			for b.Loop() {
				feed(s.Frames)
				b.StopTimer()
				s.Next()
				if w.dump != nil {
					os.Truncate("x.pcapng", 0)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(number-before), "ns/packet")
			if code := w.end(); code != cli.ExitOK || len(w.settled) > 0 {
				b.Errorf("exit %d: %s", code, &stderr)
			}
			w.close()
		})
	}
}
