package capture

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

// radio puts Surveyor's header before an 802.11 frame.
func radio(frame []byte) []byte {
	return append([]byte{0, 0, 0, 8, 0, 0, 2, 0, 1, 50, 0, 6}, frame...)
}

func TestSnoop(t *testing.T) {
	trailer := make([]byte, surveyorTrailer)
	for _, tt := range []struct {
		name    string
		w       snoopWriter
		network uint32
		data    []byte
		link    LinkType // 0: refused
		fcs     uint8
	}{
		{"Ethernet", snoopWriter{}, 4, payload, LinkEthernet, 0},
		{"IEEE 802.3", snoopWriter{}, 0, payload, LinkEthernet, 0},
		{"padded", snoopWriter{padding: 4}, 4, payload, LinkEthernet, 0},
		{"ATM", snoopWriter{}, 18, payload, LinkSunATM, 0},
		{"Fibre Channel", snoopWriter{}, 16, payload, LinkIPOverFC, 0},
		{"ipnet", snoopWriter{}, 0x80000005, payload, LinkIPNET, 0},
		{"HDLC", snoopWriter{}, 5, payload, 0, 0},
		{"gigabit Ethernet, Surveyor", snoopWriter{version: 5, surveyor: trailer}, 12, payload, LinkEthernet, 4},
		{"gigabit Ethernet, not Surveyor", snoopWriter{version: 5}, 12, payload, 0, 0},
		{"802.11, Surveyor", snoopWriter{version: 2, surveyor: trailer}, 18, radio(payload), LinkIEEE80211, 4},
	} {
		w := &tt.w
		w.header(tt.network).record(t0sec, 1, tt.data).record(t0sec+1, 2, tt.data)
		frames, info, err := readAll(t, w.b, ReadOptions{}, 10)
		if tt.link == 0 {
			if err == nil || !strings.Contains(err.Error(), "network type") {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || len(frames) != 2 || info.Format != "snoop" || len(info.LinkTypes) != 1 || info.LinkTypes[0] != tt.link || info.DropsKnown {
			t.Errorf("%s: %d frames, %v, %+v", tt.name, len(frames), err, info)
			continue
		}
		f := frames[1]
		if !bytes.Equal(f.Data, payload) || f.Time != (t0sec+1)*second+2000 || f.Number != 2 || f.LinkType != tt.link || int(f.Length) != len(payload) {
			t.Errorf("%s: %+v", tt.name, f)
		}
		// Copied with a comment it is the same again.
		copied, a := annotate(t, w.b, ReadOptions{}, func(n uint64) []string { return []string{"here"}[:n-1] })
		again, ng, err := readAll(t, copied, ReadOptions{}, 10)
		if err != nil || len(again) != 2 || a.Commented != 1 || ng.Format != "pcapng" || !bytes.Equal(again[1].Data, f.Data) || again[1].Time != f.Time || again[1].LinkType != f.LinkType {
			t.Errorf("%s, copied: %+v, %v", tt.name, again, err)
		}
		file, err := NewFile("test", bytes.NewReader(w.b), ReadOptions{})
		if err != nil || file.c.(*snoop).fcsLen() != tt.fcs {
			t.Errorf("%s: frame check sequence: %v", tt.name, err)
		}
	}
}

func TestSnoopDrops(t *testing.T) {
	w := (&snoopWriter{drops: 7}).header(4).record(t0sec, 1, payload)
	w.drops = 9
	_, info, err := readAll(t, w.record(t0sec, 2, payload).b, ReadOptions{}, 10)
	if err != nil || info.Drops != 9 || !info.DropsKnown {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestSnoopDamage(t *testing.T) {
	head := func() *snoopWriter { return (&snoopWriter{}).header(4).record(t0sec, 1, payload) }
	trailer := make([]byte, surveyorTrailer)
	for _, tt := range []struct {
		b    []byte
		want string
	}{
		{head().u32(60, math.MaxUint32, 100, 0, 1, 1).b, "a packet of 4294967295 bytes; the limit is 262144"},
		{head().u32(math.MaxUint32, 60, 100, 0, 1, 1).b, "a packet of 4294967295 bytes"},
		{head().u32(60, 60, 83, 0, 1, 1).b, "a record of 83 bytes with a packet of 60"},
		{head().u32(60, 60, math.MaxUint32, 0, 1, 1).b, "a record of 4294967295 bytes"},
		{head().u32(60, 60, 84, 0, 1, 1).b, "cut off: only 24 bytes"},
		{(&snoopWriter{surveyor: trailer}).header(18).record(1, 1, []byte{0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0}).b, "no room for a Surveyor header"},
		{(&snoopWriter{surveyor: trailer}).header(18).record(1, 1, []byte{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}).b, "no room for a Surveyor header"},
	} {
		_, _, err := readAll(t, tt.b, ReadOptions{}, 10)
		var d *DamageError
		if !errors.As(err, &d) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}
