package capture

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Section{Hardware: "x", OS: "Linux", Application: "connrace", Comments: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	eth, err := w.AddInterface(Interface{LinkType: 1, Snaplen: 96, Name: "eth0", Description: "d", Filter: "tcp", Resolution: 9})
	if err != nil || eth != 0 {
		t.Fatal(eth, err)
	}
	if _, err := w.AddInterface(Interface{Resolution: 10}); err == nil {
		t.Error("a resolution of 10 decimals")
	}
	cooked, _ := w.AddInterface(Interface{LinkType: 276, Resolution: 6})
	packets := []Packet{
		{Interface: eth, Time: t0sec*second + 123456789, Data: payload, Length: 1500, Flags: 1, Comments: []string{"one", "", strings.Repeat("x", 70000)}},
		{Interface: cooked, Time: t0sec*second + 123456789, Data: payload[:3], Length: 3},
		{Interface: cooked, Time: 0, Length: 0},
	}
	for i := range packets {
		if err := w.Packet(&packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Packet(&Packet{Interface: 2}); err == nil {
		t.Error("an interface that is not there")
	}
	if err := w.Statistics(&Statistics{Interface: 2}); err == nil {
		t.Error("an interface that is not there")
	}
	if err := w.Statistics(&Statistics{Interface: cooked, Time: 1, Start: 1, End: 2, Received: 3, Dropped: 4, OSDropped: 5}); err != nil {
		t.Fatal(err)
	}
	frames, info, err := readAll(t, out.Bytes(), ReadOptions{}, 9)
	if err != nil || len(frames) != 3 || info.Drops != 9 || !reflect.DeepEqual(info.LinkTypes, []LinkType{1, 276}) {
		t.Fatalf("%d frames, %+v, %v", len(frames), info, err)
	}
	for i, want := range []int64{t0sec*second + 123456789, t0sec*second + 123456000, 0} {
		if f := frames[i]; f.Time != want || f.Length != packets[i].Length || !bytes.Equal(f.Data, packets[i].Data) {
			t.Errorf("%+v", f)
		}
	}
	if slow, clean := slowPcapng(out.Bytes()); !clean || len(slow) != 3 {
		t.Errorf("slowly %d frames, clean %v", len(slow), clean)
	}
	w.w = full{}
	for range 2 {
		if err := w.Packet(&packets[0]); !errors.Is(err, errFull) {
			t.Errorf("got %v", err)
		}
	}
}

func TestWriterAllocatesNothing(t *testing.T) {
	w, _ := NewWriter(io.Discard, Section{})
	w.AddInterface(Interface{LinkType: 1, Resolution: 9})
	p := &Packet{Time: t0sec * second, Data: payload, Length: 66, Flags: 2}
	if n := testing.AllocsPerRun(100, func() { w.Packet(p) }); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

func TestStamp(t *testing.T) {
	for _, resolution := range []byte{0, 3, 6, 9, 12, 0x80 + 10, 0x80 + 63, 200} {
		for _, offset := range []int64{0, 1000, -1000, math.MaxInt64, math.MinInt64} {
			var i iface
			i.setTime(resolution, offset)
			for _, ns := range []int64{0, 1, t0sec * second, math.MaxInt64, math.MinInt64} {
				i.stamp(ns) // does not panic
			}
			if resolution != 9 || offset > 1000 || offset < -1000 {
				continue
			}
			const ns int64 = t0sec*second + 987654321
			if got := i.time(i.stamp(ns)); got != ns {
				t.Errorf("%d became %d", ns, got)
			}
		}
	}
}
