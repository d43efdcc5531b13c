package capture

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/net/bpf"
)

// What tcpdump 4.99 prints for "tcp port 8080", on Ethernet, on any interface and on one
// without link headers.
const (
	dddEther = "20\n40 0 0 12\n21 0 6 34525\n48 0 0 20\n21 0 15 6\n40 0 0 54\n21 12 0 8080\n40 0 0 56\n21 10 11 8080\n" +
		"21 0 10 2048\n48 0 0 23\n21 0 8 6\n40 0 0 20\n69 6 0 8191\n177 0 0 14\n72 0 0 14\n21 2 0 8080\n72 0 0 16\n21 0 1 8080\n6 0 0 262144\n6 0 0 0\n"
	dddAny = "20\n40 0 0 0\n21 0 6 34525\n48 0 0 26\n21 0 15 6\n40 0 0 60\n21 12 0 8080\n40 0 0 62\n21 10 11 8080\n" +
		"21 0 10 2048\n48 0 0 29\n21 0 8 6\n40 0 0 26\n69 6 0 8191\n177 0 0 20\n72 0 0 20\n21 2 0 8080\n72 0 0 22\n21 0 1 8080\n6 0 0 262144\n6 0 0 0\n"
	dddRaw = "23\n48 0 0 0\n84 0 0 240\n21 0 6 96\n48 0 0 6\n21 0 17 6\n40 0 0 40\n21 14 0 8080\n40 0 0 42\n21 12 13 8080\n48 0 0 0\n84 0 0 240\n" +
		"21 0 10 64\n48 0 0 9\n21 0 8 6\n40 0 0 6\n69 6 0 8191\n177 0 0 0\n72 0 0 0\n21 2 0 8080\n72 0 0 2\n21 0 1 8080\n6 0 0 262144\n6 0 0 0\n"
)

func TestParseDDD(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		header     headerKind
	}{
		{"Ethernet", dddEther, etherHeader},
		{"Ethernet with CRLF", strings.ReplaceAll(dddEther, "\n", "\r\n"), etherHeader},
		{"any", dddAny, mixedHeader},
		{"no link header", dddRaw, otherHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseDDD(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			prog, err := f.program(filterLink{header: tt.header, snaplen: 1024})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []struct {
				testPacket
				want int
			}{
				{testPacket{src: "10.0.0.1", dst: "10.0.0.2", sport: 9, dport: 8080, protocol: 6, options: 2}, 1024},
				{testPacket{src: "fd00::1", dst: "fd00::2", sport: 8080, dport: 1, protocol: 6}, 1024},
				{testPacket{src: "10.0.0.1", dst: "10.0.0.2", sport: 9, dport: 8081, protocol: 6}, 0},
				{testPacket{src: "10.0.0.1", dst: "10.0.0.2", sport: 9, dport: 8080, protocol: 17}, 0},
			} {
				p := etherPacket(x.build())
				if got := p.run(t, prog); got != x.want {
					t.Errorf("%+v: %d", x, got)
				}
				p.hardware, p.packetType = arphrdLoopback, packetOutgoing
				if got := p.run(t, prog); got != 0 {
					t.Errorf("the loopback's outgoing copy of %+v: %d", x, got)
				}
			}
		})
	}
}

func TestParseDDDErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "it is empty"},
		{"\n", "first line is not a number"},
		{"0\n", "first line is not a number"},
		{"5000\n", "up to 4096"},
		{"(000) ldh [12]\n", "first line is not a number"},
		{"2\n6 0 0 0\n", "ends after 1 of 2"},
		{"1\n6 0 0\n", "line 2 is not an instruction"},
		{"1\n6 0 0 -1\n", "line 2 is not an instruction"},
		{"1\n6 0 300 0\n", "line 2 is not an instruction"},
		{"1\n6 0 0 0\n6 0 0 0\n", "line 3 follows the last"},
		{"1\n65535 0 0 0\n", "is none: operation 0xffff"},
		{"1\n40 0 0 12\n", "does not end with a return"},
		{"2\n21 1 0 1\n6 0 0 0\n", "instruction 0 of the filter is invalid"},
		{"2\n5 0 0 4294967295\n6 0 0 0\n", "instruction 0 of the filter is invalid"},
		{"2\n2 0 0 16\n6 0 0 0\n", "instruction 0 of the filter is none"},
		{"2\n96 0 0 16\n6 0 0 0\n", "instruction 0 of the filter is none"},
		{"2\n52 0 0 0\n6 0 0 0\n", "instruction 0 of the filter is invalid"},
		{"1\n6 0 0 0" + strings.Repeat(" ", 5000), "token too long"},
	} {
		if _, err := ParseDDD(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.want)
		}
	}
	broken := errors.New("broken")
	if _, err := ParseDDD(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a read error: %v", err)
	}
	f, err := ParseDDD(strings.NewReader(dddEther))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.program(filterLink{header: mixedHeader}); err == nil || !strings.Contains(err.Error(), "same interface") {
		t.Errorf("a filter for Ethernet on any: %v", err)
	}
}

// TestParseDDDOfTcpdump takes what the tcpdump that is installed prints.
func TestParseDDDOfTcpdump(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	for _, expr := range []string{"", "tcp", "tcp port 8080", "host 10.0.0.2 and tcp[13] & 4 != 0", "ip6 and tcp port 443", "net 10.0.0.0/8 or net fd00::/8", "vlan 5 and tcp"} {
		out, err := exec.Command("tcpdump", "-y", "EN10MB", "-ddd", expr).Output()
		if err != nil {
			t.Skipf("tcpdump compiles no filter here: %v", err)
		}
		f, err := ParseDDD(strings.NewReader(string(out)))
		if err != nil {
			t.Errorf("%q: %v\n%s", expr, err, out)
			continue
		}
		if _, err := f.program(filterLink{snaplen: 1024}); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
	}
}

func FuzzParseDDD(f *testing.F) {
	f.Add(dddEther)
	f.Add(dddAny)
	f.Add("1\n6 0 0 1\n")
	f.Add("2\n96 0 0 16\n6 0 0 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := ParseDDD(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, h := range []headerKind{etherHeader, otherHeader, mixedHeader} {
			prog, err := x.program(filterLink{header: h, snaplen: 10})
			if err != nil {
				continue
			}
			for i, ins := range prog {
				if r, ok := ins.Disassemble().(bpf.RetConstant); ok && r.Val > 10 {
					t.Fatalf("instruction %d keeps too much: %v", i, r)
				}
			}
		}
	})
}
