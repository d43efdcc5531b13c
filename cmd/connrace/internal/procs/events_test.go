package procs

import (
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
)

// A listener that is there goes before one that is gone, whose address fits better.
func TestListenerInPlaceOfAnother(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.process(100, 1, 5, "old", 7)
	h.listen = []capture.Socket{{Local: at("10.0.0.5:80"), Inode: 7}}
	b.look(1000*sec, true)
	h.gone(100)
	h.process(200, 1, 9, "new", 8)
	h.listen = []capture.Socket{{Local: at("0.0.0.0:80"), Inode: 8}}
	b.look(1010*sec, true)
	if got := told(b, detect.HostQuestion{Target: at("10.0.0.5:80"), LB: at("10.0.0.9:4000"), Time: 1010 * sec, SYN: true}); got != "200 new" {
		t.Error(got)
	}
}

// What a host sends behind its first RST is because of that.
func TestFirstResetTells(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	l, r := at("10.0.0.5:80"), at("10.0.0.9:4000")
	b.event(&trace.Reset{Time: 1000 * sec, Local: l, Remote: r, Reason: "TCP_ABORT_ON_CLOSE"})
	b.event(&trace.Reset{Time: 1000*sec + 1e6, Local: l, Remote: r, Reason: "NO_SOCKET"})
	if got := b.answer(&detect.HostQuestion{LB: r, Target: l, Time: 1000 * sec, Close: 1000 * sec}).Reset; got != "TCP_ABORT_ON_CLOSE" {
		t.Errorf("%+v", got)
	}
}

// Where there is more than fits, what is newest stays.
func TestTrimKeepsTheNewest(t *testing.T) {
	m := map[int]int64{}
	for i := range maxEvents + 1000 {
		m[i] = int64(i) * 1e7
	}
	now := int64(maxEvents+1000) * 1e7
	trim(m, now, func(at int64) int64 { return at })
	if _, there := m[maxEvents+999]; !there || len(m) > maxEvents {
		t.Errorf("%d left, the newest: %v", len(m), there)
	}
}
