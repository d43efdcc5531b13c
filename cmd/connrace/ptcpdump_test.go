package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	linktypes "github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// ptcpdumpVersion is how ptcpdump wrote captures at a time. No file that it wrote itself could be had: these are
// made as its source has it (github.com/mozillazg/ptcpdump: pcapng in internal/writer, the writer in cmd and the
// device in internal/metadata, at the commits named), and the section and its interfaces by the writer
// that it uses, gopacket's, or what that was forked from.
type ptcpdumpVersion struct {
	source     string
	directions bool     // packets say whether they came or went
	interfaces []string // by number; "": a dummy
	of         uint32   // the interface of the packets
	comments   []string
	secrets    bool // keys of TLS may stand between packets
}

const (
	ptcpdumpProcess   = "PID: 4711\nCmd: /usr/bin/uwsgi\nArgs: uwsgi --ini app.ini --password hunter2"
	ptcpdumpParent    = "ParentPID: 4700\nParentCmd: /usr/bin/uwsgi\nParentArgs: uwsgi swordfish"
	ptcpdumpContainer = "ContainerName: api\nContainerId: 7f9e1d2c3b4a59687766554433221100\nContainerImage: docker.io/library/api:3\nContainerLabels: {\"token\":\"hunter3\"}"
	ptcpdumpPod       = "PodName: api-7f9\nPodNamespace: shop\nPodUID: 0c1d2e3f\nPodLabels: {}\nPodAnnotations: {\"key\":\"hunter4\"}"
)

var ptcpdumpVersions = []ptcpdumpVersion{
	{
		"pcapng.go 1e37c9f", true,
		[]string{"", "lo", "eth0"},
		2,
		[]string{ptcpdumpProcess, "ThreadId: 4712\nThreadName: uwsgi", "UserId: 33\nGroupId: 33", ptcpdumpParent, ptcpdumpContainer, ptcpdumpPod},
		true,
	},
	{
		"pcapng.go of 2024, when interfaces had the kernel's numbers", false,
		[]string{"", "lo", "", "eth0"},
		3,
		[]string{ptcpdumpProcess, ptcpdumpParent, ptcpdumpContainer, ptcpdumpPod},
		true,
	},
}

// file is crowder's capture as ptcpdump would have written it on the target's host.
func (v *ptcpdumpVersion) file(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	var w *pcapgo.NgWriter
	for i, name := range v.interfaces {
		x := pcapgo.NgInterface{Name: name, OS: "linux", Filter: "tcp port 5005", LinkType: linktypes.LinkTypeEthernet, SnapLength: math.MaxUint16}
		if name == "" {
			x.Name = fmt.Sprintf("dummy-%d", i)
		} else if v.directions {
			x.Comment = fmt.Sprintf("ifIndex: %d, netNsInode: 4026531840, netNsPath: /proc/self/ns/net", i)
		}
		var err error
		if w == nil {
			w, err = pcapgo.NewNgWriterInterface(&b, x, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
				Hardware: "amd64", OS: "linux", Application: "ptcpdump 0.0.0", Comment: "ptcpdump: https://github.com/mozillazg/ptcpdump",
			}})
		} else {
			_, err = w.AddInterface(x)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	padded := func(x string) string { return x + strings.Repeat("\x00", (4-len(x)%4)%4) }
	block := func(kind uint32, body string) {
		for _, x := range []any{kind, uint32(12 + len(body)), []byte(body), uint32(12 + len(body))} {
			binary.Write(&b, binary.LittleEndian, x)
		}
	}
	u32 := func(xs ...uint32) (s string) {
		for _, x := range xs {
			s += string(binary.LittleEndian.AppendUint32(nil, x))
		}
		return s
	}
	option := func(code, size int, value string) string { return u32(uint32(code|size<<16)) + padded(value) }

	data, err := pcaps.File("crowder.pcap")
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile("crowder.pcap", bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	decoder := capture.NewDecoder()
	batch := make([]capture.Frame, 64)
	for {
		n, err := in.Read(batch)
		if err == io.EOF {
			return b.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range batch[:n] {
			f := &batch[i]
			if f.Number == 100 && v.secrets {
				keys := "CLIENT_RANDOM " + strings.Repeat("0", 64) + " " + strings.Repeat("1", 96) + "\n"
				block(0xa, u32(0x544c534b, uint32(len(keys)))+padded(keys))
			}
			body := u32(v.of, uint32(f.Time>>32), uint32(f.Time), uint32(len(f.Data)), f.Length) + padded(string(f.Data))
			for _, c := range v.comments {
				body += option(1, len(c), c)
			}
			if segs := decoder.Decode(f, nil); v.directions && len(segs) > 0 {
				way := uint32(1) // it came
				if segs[0].Src.Port == 5005 {
					way = 2
				}
				body += option(2, 4, u32(way))
			}
			block(6, body+option(0, 0, ""))
		}
	}
}

// Captures as versions of ptcpdump write them: each is read, its comments are shown, without what may be secret,
// and the process is named where the file says whose it is.
func TestPtcpdump(t *testing.T) {
	for _, v := range ptcpdumpVersions {
		code, out, stderr := after(t, t.Context(), remarkedFile(t, v.file(t)), "--format", "json", "-")
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", v.source, code, stderr)
		}
		process, evidence := remarksIn(t, []byte(out))
		if v.directions != (process["pid"] == 4711.0) || v.directions && (process["container"] != "7f9e1d2c3b4a59687766554433221100" || process["pod"] != "0c1d2e3f") {
			t.Errorf("%s: process %v", v.source, process)
		}
		for _, e := range evidence {
			c, _ := e["comment"].(string)
			for _, want := range []string{"PID: 4711; Cmd: /usr/bin/uwsgi; ", "ParentPID: 4700", "ContainerImage: docker.io/library/api:3", "PodNamespace: shop"} {
				if !strings.Contains(c, want) {
					t.Errorf("%s: no %q in %q", v.source, want, c)
				}
			}
		}
		for _, secret := range []string{"hunter", "swordfish", "CLIENT_RANDOM"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s: %q is shown", v.source, secret)
			}
		}
	}
}
