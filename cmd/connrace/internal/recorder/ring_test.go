package recorder

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"connrace/capture"
)

// The ring keeps the newest packets, whole and in order, and no more than fit.
func TestRing(t *testing.T) {
	for _, most := range []int{60, 300, 70000} {
		r := NewRing(0)
		if r.Oldest() != 0 {
			t.Error("an empty ring has a packet")
		}
		rnd := rand.New(rand.NewPCG(1, uint64(most)))
		packet := func(i uint64) []byte {
			n := int(i*7919) % most
			return bytes.Repeat([]byte{byte(i)}, n)
		}
		id := func(i uint64) uint32 { return uint32(i%7) << (i % 7 * 5) } // of a stream; some share a chain
		const n = 40000
		for i := uint64(1); i <= n; i++ {
			r.Add(&capture.Frame{Number: i, Time: int64(i) * 10, Data: packet(i), Length: uint32(i), Interface: 3, LinkType: 1, Direction: capture.Outbound}, id(i))
			if i%977 != 0 && i != n || rnd.IntN(4) != 0 && i != n {
				continue
			}
			kept, octets := uint64(0), 0
			r.Each(func(f *capture.Frame) {
				want := r.Oldest() + kept
				if f.Number != want || f.Time != int64(want)*10 || f.Length != uint32(want) ||
					f.Interface != 3 || f.LinkType != 1 || f.Direction != capture.Outbound || !bytes.Equal(f.Data, packet(want)) {
					t.Fatalf("at %d: frame %d is not as it was: %d octets", i, f.Number, len(f.Data))
				}
				kept++
				octets += len(f.Data)
			})
			if r.Oldest()+kept-1 != i {
				t.Fatalf("the newest of %d packets is %d", i, r.Oldest()+kept-1)
			}
			for stream := range uint64(7) {
				want := i - (i-stream)%7
				r.Back(id(uint64(stream)), func(f capture.Frame) bool {
					if f.Number != want || !bytes.Equal(f.Data, packet(want)) {
						t.Fatalf("at %d: frame %d in stream %d, want %d", i, f.Number, stream, want)
					}
					want -= 7
					return true
				})
				if want >= r.Oldest() && want <= i {
					t.Fatalf("at %d: stream %d ends behind frame %d", i, stream, want)
				}
			}
			if octets > MinSize || i > 30000 && octets < MinSize/3 && kept < 4000 {
				t.Errorf("at %d: %d packets with %d octets are kept", i, kept, octets)
			}
		}
	}
	r := NewRing(0)
	r.Add(&capture.Frame{Number: 1, Data: make([]byte, MinSize)}, 0)
	if r.Oldest() != 0 {
		t.Error("a packet larger than the ring was kept")
	}
}

func TestRingAllocatesNothing(t *testing.T) {
	r := NewRing(0)
	f := capture.Frame{Number: 1, Data: make([]byte, 200)}
	if n := testing.AllocsPerRun(1000, func() { r.Add(&f, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRingAdd(b *testing.B) {
	r := NewRing(64 << 20)
	f := capture.Frame{Data: make([]byte, 200)}
	b.SetBytes(200)
	for i := range b.N {
		f.Number = uint64(i)
		r.Add(&f, 1)
	}
}
