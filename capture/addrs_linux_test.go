package capture

import (
	"testing"

	"connrace/tcpstate"
)

func TestLocalAddrs(t *testing.T) {
	local, err := LocalAddrs("")
	if err != nil {
		t.Fatal(err)
	}
	if len(local) == 0 {
		t.Skip("this host has no address at all")
	}
	if local[tcpstate.Addr4([]byte{192, 0, 2, 1})] {
		t.Error("TEST-NET-1 is local")
	}
	if _, err := LocalAddrs("/no/such/namespace"); err == nil {
		t.Error("no error for a namespace that is not there")
	}
}
