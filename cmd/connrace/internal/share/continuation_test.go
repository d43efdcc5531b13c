package share

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"connrace/tcpstate"
)

// Of a header block whose beginning was not captured nothing is kept, whatever it looks like from
// its middle on.
func TestContinuationWithoutHeaders(t *testing.T) {
	var buf bytes.Buffer
	const secret = "session=eyJXYZ-Kqwz~|{}XZJ;Qj&*,;<>{}@$!^`\\Wxq"
	blk := block(hpack.NewEncoder(&buf), &buf, ":method", "GET", ":path", "/", "cookie", secret+secret)
	for off := 8; off < len(blk)-8; off += 3 {
		began := append([]byte(preface), h2(frameSettings, 0, 0, nil)...)
		missing := h2(frameHeaders, 0, 1, blk[:off])
		rest := h2(frameContinuation, flagEndHeaders, 1, blk[off:])
		out, _ := made(t, write(t, [][]byte{
			frame(lbAddr, targetAddr, 999, tcpstate.SYN, nil, planted),
			frame(lbAddr, targetAddr, 1000, tcpstate.ACK, began, planted),
			frame(lbAddr, targetAddr, uint32(1000+len(began)+len(missing)), tcpstate.ACK, rest, planted),
		}))
		all := segments(t, out)
		for i, c := range all[len(all)-1].Payload[9:] {
			if c != 0 {
				t.Fatalf("from octet %d on: octet %d is %#x", off, i, c)
			}
		}
	}
}
