package capture

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// foreign are the beginnings of files that are captures of another kind, or hold one.
// editcap converts what Wireshark can read.
var foreign = []struct{ magic, kind, remedy string }{
	{"TRSNIFF data    \x1a", "a Sniffer capture", editcap},
	{"XCP\x00", "a NetXRay or Windows Sniffer capture", editcap},
	{"RTSS", "a Network Monitor capture", editcap},
	{"GMBU", "a Network Monitor capture", editcap},
	{"iptrace 1.0", "an AIX iptrace capture", editcap},
	{"iptrace 2.0", "an AIX iptrace capture", editcap},
	{"\x54\x52\x00\x64\x00", "an HP-UX nettl trace", editcap},
	{"ObserverPktBuffe", "an Observer capture", editcap},
	{"\x7fver", "an EtherPeek or OmniPeek capture", editcap},
	{"\x05VNF", "a Visual Networks capture", editcap},
	{"\x42\xd2\x00\x34\x12\x66\x22\x88", "a RADCOM capture", editcap},
	{"btsnoop\x00", "a btsnoop (Bluetooth) log", ""},
	{"\x0a\x0a\x0a", "a pcapng file that went through a text-mode transfer", " (copy it again in binary mode)"},
	{"\x0a\x0d\x0d\x0d\x0a", "a pcapng file that went through a text-mode transfer", " (copy it again in binary mode)"},
	{"\xfd7zXZ\x00", "xz-compressed", " (try: xz -d FILE)"},
	{"BZh", "bzip2-compressed", " (try: bzip2 -d FILE)"},
	{"PK\x03\x04", "a zip archive", " (try: unzip FILE)"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", " (try: 7z x FILE)"},
	{"\x02\x21\x4c\x18", "lz4-compressed in the legacy format", " (try: lz4 -d FILE)"},
}

const editcap = " (try: editcap -F pcap FILE FILE.pcap)"

// unrecognized describes a stream that is no capture, in one line.
func (f *File) unrecognized() error {
	w := &f.w
	w.need(16)
	b := w.unread()
	in := ""
	if f.stream != nil {
		in = f.stream.name + " data: "
	}
	if w.err != nil && !isEOF(w.err) && len(b) < 16 {
		return pathless(f.name, w.err)
	}
	if len(b) == 0 {
		return fmt.Errorf("%s: %sempty, not a capture file", f.name, in)
	}
	for _, k := range foreign {
		if strings.HasPrefix(string(b), k.magic) {
			remedy := strings.ReplaceAll(k.remedy, "FILE", f.name)
			return fmt.Errorf("%s: %s%s; expected pcap or pcapng%s", f.name, in, k.kind, remedy)
		}
	}
	return fmt.Errorf("%s: %snot a capture file (starts with %s); expected pcap or pcapng", f.name, in, sample(b[:min(16, len(b))]))
}

// sample shows the first bytes of a file, as text where they are.
func sample(b []byte) string {
	const width = 8
	for _, c := range b {
		if c >= utf8.RuneSelf || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return fmt.Sprintf("% x", b[:min(width, len(b))])
		}
	}
	if len(b) < 16 {
		return fmt.Sprintf("%q", b)
	}
	return strings.TrimSuffix(fmt.Sprintf("%q", b[:width+2]), `"`) + `…"`
}
