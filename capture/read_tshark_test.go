package capture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFrameNumbersAreWiresharks asks tshark which records have numbers.
func TestFrameNumbersAreWiresharks(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tshark")
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	if v, _ := exec.Command(tshark, "--version").Output(); !bytes.Contains(v, []byte("(Wireshark) 4.0.")) {
		t.Skip("needs tshark 4.0, whose numbers are ours")
	}
	const ts = t0sec*1_000_000 + 1
	ng := func() *ngWriter { return (&ngWriter{}).section().iface(1, 0) }
	w, w2 := ng(), ng()
	files := map[string][]byte{
		"blocks": w.enhanced(0, ts, payload).
			block(blockCustom, 32473, []byte("hello world")).
			enhanced(0, ts, payload).
			block(blockCustomKeep, 32473, []byte("hello")).
			block(blockJournal, []byte("__REALTIME_TIMESTAMP=1600000000000000\nMESSAGE=hi\n")).
			block(blockNames, 0).
			block(blockSecrets, 0x544c534b, 3, []byte("abc")).
			block(blockSysdig, uint16(1), make([]byte, 28)).
			block(0x208, make([]byte, 28)).
			block(0x7777, []byte("unknown")).
			block(blockSimple, payloadLen, payload).
			enhanced(0, ts, payload).b,
		"sections": func() []byte {
			w := ng().enhanced(0, ts, payload)
			w.big = true
			w.section().iface(1, 0, w.option(9, []byte{9})).enhanced(0, t0sec*second+7, payload)
			return w.section().enhanced(0, ts, payload).b // no interface
		}(),
		"link types":   w2.iface(281, 0).enhanced(1, ts, payload).enhanced(0, ts, payload).enhanced(1, ts, payload).b,
		"snoop":        (&snoopWriter{}).header(4).record(t0sec, 1, payload).record(t0sec, 2, payload).b,
		"snoop cut":    (&snoopWriter{}).header(4).record(t0sec, 1, payload).record(t0sec, 2, payload).b[:150],
		"surveyor":     (&snoopWriter{version: 5, surveyor: make([]byte, surveyorTrailer)}).header(12).record(t0sec, 1, payload).b,
		"cut":          (&pcapWriter{}).file(9)[:500],
		"caplen":       (&pcapWriter{snaplen: 20}).header().lengths(t0sec, 1, payloadLen, 20, payload).record(t0sec, 1, payload).b,
		"interface":    ng().enhanced(0, ts, payload).enhanced(1, ts, payload).enhanced(0, ts, payload).b,
		"two lengths":  ng().enhanced(0, ts, payload).words(ng().enhanced(0, ts, payload).b, 6, 32, 0, 0, 0, 0, 0, 33),
		"ss990417":     (&pcapWriter{snaplen: 65535, extra: []byte{3, 0, 0, 0, 0, 8, 0, 0}}).file(5),
		"large packet": (&pcapWriter{}).header().record(t0sec, 1, make([]byte, maxPacket)).record(t0sec, 1, payload).b,
	}
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		// tshark's exit status is that of its own reading; what it printed counts.
		out, _ := exec.Command(tshark, "-n", "-r", path, "-T", "fields", "-e", "frame.number", "-e", "frame.time_epoch").Output()
		frames, _, _ := readAll(t, data, ReadOptions{}, 10)
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if len(lines) != len(frames) {
			t.Errorf("%s: %d frames; tshark has\n%s", name, len(frames), out)
			continue
		}
		for i, f := range frames {
			want := fmt.Sprintf("%d\t%d.%09d", f.Number, f.Time/second, f.Time%second)
			if f.Time == 0 { // or not read, from what is no packet
				want, _, _ = strings.Cut(want, "\t")
				lines[i], _, _ = strings.Cut(lines[i], "\t")
			}
			if lines[i] != want {
				t.Errorf("%s: got %q; tshark has %q", name, want, lines[i])
			}
		}
	}
}
