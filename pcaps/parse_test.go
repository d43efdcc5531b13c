package pcaps

import (
	"reflect"
	"strings"
	"testing"
)

const (
	twoHosts = "-- hosts --\na 10.0.0.1:1\nb 10.0.0.2:2\n"
	example  = `# The keep-alive race.
#
#   indented
-- capture --
start 2019-01-26T00:00:00.5Z
vlan 7
pad
snaplen 96
-- hosts --
# the LB
lb     10.0.0.2:41000 isn 4294967290 ts 5   # an ALB
target 10.0.1.9:8080  isn 7   # want keepalive-mismatch warning
other  10.0.0.3:50000 isn 1
-- options --
framing
lb-idle-timeout 1m0s
target target
lb lb
filler other > target
-- packets --
0.000000    lb     > target S  0:0(0) win 100 mss 1460 wscale 7 sackOK ts 9 0 ipid 3 len 78
0.000100123 target > lb     S. 0:0(0) ack 1 frame 4
# silence

5.000000    target > lb     F. 1:1(0) ack 1 nots   # idle
5.000010    lb     > target P. 1:31(30) ack 1 "GET / HTTP/1.1\r\nHost: \"#\"\xff"...   # want fin-request-crossing error certain lost=true idle=4.9; why
5.000100    target > lb     R  1:1(0)
# the end
`
)

func TestParse(t *testing.T) {
	s, err := Parse("x", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Packets[3]
	if want := "GET / HTTP/1.1\r\nHost: \"#\"\xff"; p.Text != want || !p.More || p.Len != 30 {
		t.Errorf("payload %q, %v, %d", p.Text, p.More, p.Len)
	}
	w := s.Want()
	if len(w) != 2 {
		t.Fatalf("%d wants: %+v", len(w), w)
	}
	if w[0].Rule != "keepalive-mismatch" || w[0].Frame != 0 || w[0].Host.Port() != 8080 {
		t.Errorf("first want %+v", w[0])
	}
	idle, _ := w[1].Check("idle")
	if w[1].Frame != 6 || idle != "4.9" || w[1].Note != "why" || w[1].Confidence != "certain" {
		t.Errorf("second want %+v", w[1])
	}
	if got := w[1].Time; got != 1548460805500010000 {
		t.Errorf("time %d", got)
	}
}

// Errors name the line, and what was expected.
func TestParseErrors(t *testing.T) {
	packet := func(l string) string { return twoHosts + "-- packets --\n" + l }
	for _, c := range []struct{ text, want string }{
		{"", "x: no packets"},
		{"hello", "x:1: text before the first section"},
		{"-- nonsense --", `x:1: unknown section "nonsense"`},
		{"-- packets --", "x:1: section packets must stand behind hosts"},
		{twoHosts + "-- hosts --", "x:4: section hosts must stand before"},
		{twoHosts + "-- capture --", "x:4: section capture must stand before"},
		{twoHosts + "# lost\n-- packets --", "x:5: a comment at the end of section hosts"},
		{"-- hosts --\na 10.0.0.1", "x:2:"},
		{"-- hosts --\na ::ffff:10.0.0.1", "x:2:"},
		{"-- hosts --\nA 10.0.0.1:1", "x:2: bad host name"},
		{"-- hosts --\na 10.0.0.1:1\na 10.0.0.1:2", "x:3: bad host name"},
		{"-- hosts --\na 10.0.0.1:1 isn", "x:2: bad number"},
		{"-- hosts --\na 10.0.0.1:1 isn 4294967296", "x:2: bad number"},
		{"-- capture --\nsnaplen 60\n-- hosts --\na [::1]:1", "x:4: snaplen 60 cuts off the TCP header"},
		{"-- capture --\nlink raw\npad", "x:3: vlan and pad need link ethernet"},
		{"-- capture --\nlink token-ring", "x:2: link is one of ethernet, raw"},
		{"-- capture --\nstart yesterday", "x:2: start needs a time"},
		{"-- capture --\nvlan 4095", "x:2: vlan needs"},
		{"-- capture --\npad # why", "x:2: no comments"},
		{twoHosts + "-- options --\nlb c", `x:5: unknown host "c"`},
		{twoHosts + "-- options --\nlb-idle-timeout -1s", "x:5: lb-idle-timeout needs"},
		{packet("0 a > c S 0:0(0)"), `x:5: unknown host "c"`},
		{packet("0 a > a S 0:0(0)"), "x:5: no connection between"},
		{packet("0 a b S 0:0(0)"), "x:5: want >"},
		{packet("-1 a > b S 0:0(0)"), "x:5: bad time"},
		{packet("0.0000000001 a > b S 0:0(0)"), "x:5: bad time"},
		{packet("1 a > b S 0:0(0)\n0.9 a > b S 0:0(0)"), "x:6: packets must be in order of time"},
		{packet("0 a > b X 0:0(0)"), `x:5: bad flags "X"`},
		{packet("0 a > b SS 0:0(0)"), `x:5: bad flags "SS"`},
		{packet("0 a > b"), "x:5: no flags"},
		{packet("0 a > b S 0"), "x:5: bad sequence numbers"},
		{packet("0 a > b S 0:1(0)"), "x:5: 0 and 0 octets do not end at 1"},
		{packet("0 a > b P. 1:65002(65001) ack 1"), "x:5: sequence numbers"},
		{packet("0 a > b P. 1:3(2)"), "x:5: the ACK flag (.) and ack N need each other"},
		{packet("0 a > b S 0:0(0) ack 1"), "x:5: the ACK flag"},
		{packet(`0 a > b P. 1:3(2) ack 1 "abc"`), "x:5: the text has 3 octets"},
		{packet(`0 a > b P. 1:3(2) ack 1 "abc"...`), "x:5: the text has 3 octets, more"},
		{packet(`0 a > b P. 1:3(2) ack 1 "a`), "x:5: bad text"},
		{packet(`0 a > b P. 1:3(2) ack 1 ""...`), "x:5: empty text"},
		{packet("0 a > b S 0:0(0) len 60"), "x:5: the frame has 54 octets, not 60"},
		{packet("0 a > b S 0:0(0) frame 2"), "x:5: this is frame 1: nothing fills the gap"},
		{packet("0 a > b S 0:0(0)\n0 a > b S 0:0(0) frame 1"), "x:6: this is frame 2 at least"},
		{packet("0 a > b S 0:0(0) color red"), "x:5: unknown word color"},
		{packet("0 a > b S 0:0(0) # want "), ""},
		{packet("0 a > b S 0:0(0) # want Some-Rule"), "x:5: want needs a rule's id"},
		{packet("0 a > b S 0:0(0) # want a-rule maybe"), "x:5: want: unexpected maybe"},
		{packet("0 a > b S 0:0(0) # want a-rule certain error"), "x:5: want: unexpected error"},
		{twoHosts + "-- options --\nfiller a > b\n-- packets --\n0 a > b S 0:0(0) frame 9999", "x:7: more than 4096 frames"},
	} {
		_, err := Parse("x", []byte(c.text))
		switch {
		case c.want == "":
			if err != nil {
				t.Errorf("%q: %v", c.text, err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), c.want):
			t.Errorf("%q: error %v, want %s…", c.text, err, c.want)
		}
	}
}

// Format writes what Parse reads, and nothing is lost on the way.
func TestFormat(t *testing.T) {
	s, err := Parse("x", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(example, "0.000000    lb", "   0.000000 lb")
	want = strings.ReplaceAll(want, "5.000000    target", "   5.000000 target")
	want = strings.ReplaceAll(want, "5.000010    lb", "   5.000010 lb")
	want = strings.ReplaceAll(want, "5.000100    target", "   5.000100 target")
	if got := string(s.Format()); got != want {
		t.Errorf("formatted:\n%s\nwant:\n%s", got, want)
	}
}

// Parse, Format and the compiler hold together for whatever text: no panic, the same
// script again, frames that the segments describe.
func FuzzScript(f *testing.F) {
	f.Add(example)
	f.Add(twoHosts + "-- packets --\n0 a > b S 0:0(0)")
	f.Add("-- capture --\nlink sll2\nsnaplen headers\n-- hosts --\na [::1]:1 isn 4294967295 ts 0\nb [::2]:2\n-- packets --\n1.5 a > b P. 9:12(3) ack 4 \"x\"...\n")
	for _, s := range corpus(f) {
		f.Add(string(s.Format()))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		s, err := Parse("x", []byte(text))
		if err != nil {
			return
		}
		again, err := Parse("x", s.Format())
		if err != nil {
			t.Fatalf("%v in\n%s", err, s.Format())
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v\nbecame\n%+v", s, again)
		}
		frames, err := s.Frames()
		if err != nil {
			t.Fatal(err)
		}
		segs := s.Segments()
		if len(frames) != len(segs) {
			t.Fatalf("%d frames, %d segments", len(frames), len(segs))
		}
		for i := range min(len(frames), 50) {
			if err := decodes(s, &frames[i], &segs[i]); err != nil {
				t.Errorf("frame %d: %v", i+1, err)
			}
		}
		for _, tr := range Transforms {
			tr.Apply(s).Segments()
		}
	})
}
