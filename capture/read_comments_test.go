package capture

import (
	"bytes"
	"fmt"
	"testing"
)

// Remarked hands on comments, direction and interface of the packets that are wanted, in either
// byte order and whatever the block; Info tells whether there are any.
func TestRemarked(t *testing.T) {
	for _, big := range []bool{false, true} {
		w := &ngWriter{big: big}
		flags := func(v uint32) []byte { return w.option(optionFlags, w.words(nil, v)) }
		comment := func(s string) []byte { return w.option(optionComment, []byte(s)) }
		w.section().iface(1, 0, w.option(optionName, []byte("eth0"))).iface(1, 0)
		w.enhanced(0, t0sec*second, payload)
		w.enhanced(0, t0sec*second, payload, flags(1))
		w.enhanced(0, t0sec*second, payload, flags(1), comment("a"), comment(""), comment("b\x1b"))
		w.enhanced(1, t0sec*second, payload, comment("c"), flags(0x12), w.option(optionEnd, nil), comment("no more"))
		w.block(blockPacket, uint16(0), uint16(9), 0, 0, 3, 3, []byte("abc"), comment("d"))
		w.block(blockSimple, 3, []byte("abc"))
		w.enhanced(0, t0sec*second, payload, comment("not wanted"))
		w.section().iface(1, 0, w.option(optionName, bytes.Repeat([]byte("x"), 100)))
		w.enhanced(0, t0sec*second, payload, comment("e"), flags(3))
		w.enhanced(0, t0sec*second, payload, comment("behind the last"))
		for _, seen := range []string{"7 octets", "all"} {
			in := &chunks{w.b, 7}
			if seen == "all" {
				in.n = len(w.b)
			}
			f, err := NewFile("test", seekable{in}, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			err = Remarked(t.Context(), f, 8, func(n uint64) bool { return n != 7 }, func(r *Remarks) {
				got += fmt.Sprintf("%d %q %d %s\n", r.Frame, r.Comments, r.Direction, r.Interface)
			})
			want := "3 [\"a\" \"b\\x1b\"] 1 eth0\n4 [\"c\"] 2 \n5 [\"d\"] 0 eth0\n8 [\"e\"] 0 " + string(bytes.Repeat([]byte("x"), maxName)) + "\n"
			if err != nil || got != want {
				t.Errorf("%s: %v\n%s", seen, err, got)
			}
		}
	}
}

// Info says whether packets have comments: other options are none.
func TestInfoComments(t *testing.T) {
	for _, c := range []struct {
		name string
		add  func(w *ngWriter)
		want bool
	}{
		{"none", func(w *ngWriter) { w.enhanced(0, t0sec*second, payload) }, false},
		{"flags", func(w *ngWriter) { w.enhanced(0, t0sec*second, payload, w.option(optionFlags, make([]byte, 4))) }, false},
		{"an empty one", func(w *ngWriter) { w.enhanced(0, t0sec*second, payload, w.option(optionComment, nil)) }, false},
		{"the shortest", func(w *ngWriter) { w.enhanced(0, t0sec*second, payload, w.option(optionComment, []byte("x"))) }, true},
		{"of an obsolete block", func(w *ngWriter) {
			w.block(blockPacket, uint16(0), uint16(9), 0, 0, 3, 3, []byte("abc"), w.option(optionComment, []byte("x")))
		}, true},
		{"of an interface", func(w *ngWriter) {
			w.iface(1, 0, w.option(optionComment, []byte("x"))).enhanced(0, t0sec*second, payload)
		}, false},
	} {
		for _, big := range []bool{false, true} {
			w := &ngWriter{big: big}
			w.section().iface(1, 0)
			c.add(w)
			f, err := NewFile("test", bytes.NewReader(w.b), ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := f.Read(make([]Frame, 9)); n != 1 {
				t.Fatal(n, err)
			}
			if got := f.Info().Comments; got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
		}
	}
}
