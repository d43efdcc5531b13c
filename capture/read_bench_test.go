package capture

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// BenchmarkRead reads small packets from memory; the demand is about 10 ns for each.
func BenchmarkRead(b *testing.B) {
	const packets = 100_000
	for _, bm := range []struct {
		name string
		make func(int) []byte
	}{
		{"pcap", func(n int) []byte {
			w := pcapWriter{}
			return w.file(n)
		}},
		{"pcap-be-ns", func(n int) []byte {
			w := pcapWriter{big: true, magic: magicNano}
			return w.file(n)
		}},
		{"pcapng", func(n int) []byte {
			w := ngWriter{}
			return w.file(n)
		}},
		{"pcapng-be", func(n int) []byte {
			w := ngWriter{big: true}
			return w.file(n)
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			data := bm.make(packets)
			batch := make([]Frame, 256)
			r := bytes.NewReader(data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(data)
				f, err := NewFile("bench", r, ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				var n int
				for {
					k, err := f.Read(batch)
					n += k
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				if n != packets {
					b.Fatal(fmt.Sprint(n, " packets"))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packets, "ns/packet")
			b.ReportMetric(float64(b.N)*packets/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
