package pcaps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

func corpus(t testing.TB) []*Script {
	t.Helper()
	all, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An independent decoder sees in the compiled frames what the segments say.
func TestFramesDecode(t *testing.T) {
	for _, s := range corpus(t) {
		frames, err := s.Frames()
		if err != nil {
			t.Fatal(err)
		}
		segs := s.Segments()
		if len(frames) != len(segs) {
			t.Fatalf("%s: %d frames, %d segments", s.Name, len(frames), len(segs))
		}
		for i := range frames {
			if err := decodes(s, &frames[i], &segs[i]); err != nil {
				t.Errorf("%s: frame %d: %v", s.Name, i+1, err)
			}
		}
	}
}

var firstLayer = map[Link]gopacket.LayerType{
	Ethernet: layers.LayerTypeEthernet, Null: layers.LayerTypeLoopback, SLL: layers.LayerTypeLinuxSLL,
}

// decodes compares a frame as gopacket decodes it with a segment.
func decodes(s *Script, f *Frame, g *tcpstate.Segment) error {
	first, ok := firstLayer[s.Capture.Link]
	data := f.Data
	if !ok { // raw, and SLL2, which gopacket does not know
		first = layers.LayerTypeIPv4
		if !g.Src.Addr.Is4() {
			first = layers.LayerTypeIPv6
		}
		data = data[linkSizes[s.Capture.Link]:]
	}
	if g.Quoted { // what the ICMP error quotes
		data, first = f.Data[s.Capture.size()+20+icmpHeader:], layers.LayerTypeIPv4
		if g.ICMP.V6 {
			data, first = data[20:], layers.LayerTypeIPv6
		}
	}
	p := gopacket.NewPacket(data, first, gopacket.NoCopy)
	if e := p.ErrorLayer(); e != nil && len(f.Data) == f.Length && !g.Quoted {
		return e.Error()
	}
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		return fmt.Errorf("no TCP in %v", p)
	}
	got := tcpstate.Segment{
		Frame: g.Frame, Time: f.Time, Seq: tcpstate.Seq(tcp.Seq), Ack: tcpstate.Seq(tcp.Ack), Window: tcp.Window,
		Flags: tcpstate.Flags(tcp.Contents[13]), Options: tcp.DataOffset > 5,
	}
	header := int(tcp.DataOffset) * 4
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		got.Src.Addr, got.Dst.Addr, got.IPID, got.TTL = tcpstate.Addr4(ip.SrcIP), tcpstate.Addr4(ip.DstIP), ip.Id, ip.TTL
		got.Len = uint32(int(ip.Length) - 20 - header)
	case *layers.IPv6:
		got.Src.Addr, got.Dst.Addr, got.TTL = tcpstate.Addr16(ip.SrcIP), tcpstate.Addr16(ip.DstIP), ip.HopLimit
		got.Len = uint32(int(ip.Length) - header)
	}
	got.Src.Port, got.Dst.Port = uint16(tcp.SrcPort), uint16(tcp.DstPort)
	for i := range tcp.Options {
		setOption(&got, &tcp.Options[i])
	}
	if p.Metadata().Truncated && len(g.Payload) == 0 { // gopacket reads no options of a header that is cut off
		got.HasTS, got.TSVal, got.TSEcr = g.HasTS, g.TSVal, g.TSEcr
	}
	if g.Quoted {
		got.Quoted, got.NoLength, got.ICMP, got.Len = true, true, g.ICMP, 0
		if g.Unnumbered {
			return nil
		}
	}
	payload := tcp.Payload
	if len(payload) > int(got.Len) { // padding
		payload = payload[:got.Len]
	}
	if len(f.Data) == f.Length && !g.Quoted && len(payload) != int(got.Len) {
		return fmt.Errorf("%d octets of payload, the header says %d", len(payload), got.Len)
	}
	if !bytes.Equal(payload, g.Payload) {
		return fmt.Errorf("payload %q, want %q", payload, g.Payload)
	}
	got.Payload = g.Payload
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", *g); a != b {
		return fmt.Errorf("decoded %s\nwant %s", a, b)
	}
	return nil
}

// tshark, where there is one, numbers and times the packets as the segments say, and
// finds the checksums right. All scripts of a link type go into one file: a call costs
// half a second.
func TestFramesInTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark")
	}
	byLink := map[Link][]*Script{}
	for _, s := range corpus(t) {
		byLink[s.Capture.Link] = append(byLink[s.Capture.Link], s)
	}
	for link, scripts := range byLink {
		e := encoder{order: binary.LittleEndian, FileFormat: FileFormat{Nano: true}}
		e.header(link.Type(), 1<<18)
		var want []string
		for _, s := range scripts {
			frames, err := s.Frames()
			if err != nil {
				t.Fatal(err)
			}
			for i := range frames {
				e.frame(&frames[i])
			}
			want = append(want, fields(s, frames)...)
		}
		cmd := exec.Command(tshark, "-r", "-", "-o", "tcp.relative_sequence_numbers:FALSE", "-o", "tcp.check_checksum:TRUE",
			"-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "occurrence=f", "-e", "frame.time_epoch", "-e", "tcp.srcport",
			"-e", "tcp.seq", "-e", "tcp.ack_raw", "-e", "tcp.len", "-e", "tcp.flags", "-e", "frame.len",
			"-e", "tcp.checksum.status", "-e", "ip.checksum.status", "-e", "icmp.checksum.status")
		cmd.Stdin = bytes.NewReader(e.b)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		got := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
		for i := range min(len(got), len(want)) {
			if name, w, _ := strings.Cut(want[i], " "); got[i] != w {
				t.Errorf("%s: tshark sees\n%s\nwant\n%s", name, got[i], w)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v: tshark sees %d frames, want %d", link, len(got), len(want))
		}
	}
}

// fields are the columns that tshark should print, each behind the script's name and the
// frame's number.
func fields(s *Script, frames []Frame) []string {
	var out []string
	for i, g := range s.Segments() {
		check := "1" // good
		if len(frames[i].Data) != frames[i].Length {
			check = "2" // cannot be verified
		}
		ip, icmp, size := "", "", fmt.Sprint(g.Len)
		if g.Src.Addr.Is4() {
			ip = "1"
		}
		if g.Quoted {
			size, icmp = "", ip
			if s.Packets[i].Len > 0 {
				check = "0" // bad, for the payload is missing
			}
		}
		out = append(out, fmt.Sprintf("%s:%d %d.%09d\t%d\t%d\t%d\t%s\t0x%04x\t%d\t%s\t%s\t%s", s.Name, g.Frame, g.Time/1e9, g.Time%1e9,
			g.Src.Port, uint32(g.Seq), uint32(g.Ack), size, uint16(g.Flags), frames[i].Length, check, ip, icmp))
	}
	return out
}

// Captures in every container hold the same frames.
func TestWritePCAP(t *testing.T) {
	s, err := Parse("x", []byte("-- hosts --\na 10.0.0.1:1\nb 10.0.0.2:2\n-- packets --\n1.000001002 a > b S 0:0(0)\n"))
	if err != nil {
		t.Fatal(err)
	}
	frames, err := s.Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []FileFormat{{}, {Nano: true}, {BigEndian: true}, {BigEndian: true, Nano: true}} {
		var file bytes.Buffer
		if err := s.WritePCAP(&file, f); err != nil {
			t.Fatal(err)
		}
		b := file.Bytes()
		var order binary.ByteOrder = binary.LittleEndian
		if f.BigEndian {
			order = binary.BigEndian
		}
		frac := uint32(1)
		if f.Nano {
			frac = 1002
		}
		if sec, got := order.Uint32(b[24:]), order.Uint32(b[28:]); sec != 1704067201 || got != frac {
			t.Errorf("%+v: time %d.%d", f, sec, got)
		}
		if !bytes.Equal(b[40:], frames[0].Data) {
			t.Errorf("%+v: other data", f)
		}
	}
}

// crowder.pcap is the script crowder, compiled.
func TestCrowderPCAP(t *testing.T) {
	s, err := Load("crowder")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := s.WritePCAP(&want, FileFormat{}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("crowder.pcap", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("crowder.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("crowder.pcap is not what scripts/crowder.txt compiles to: run go test ./pcaps -update")
	}
}
