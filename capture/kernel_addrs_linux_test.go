package capture

import (
	"os"
	"path/filepath"
	"testing"

	"connrace/tcpstate"
)

func TestLocalAddrs(t *testing.T) {
	w, err := OpenWitness(WitnessOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	local, err := w.LocalAddrs()
	if err != nil {
		t.Fatal(err)
	}
	if len(local) == 0 {
		t.Skip("this host has no address at all")
	}
	if local[tcpstate.Addr4([]byte{192, 0, 2, 1})] {
		t.Error("TEST-NET-1 is local")
	}
}

// What a namespace was found by may come to stand for another.
func TestLocalAddrsOfTheSameNamespace(t *testing.T) {
	n := newNetNS(t)
	n.ip(t, "address add 192.0.2.1/32 dev lo")
	path := filepath.Join(t.TempDir(), "ns")
	if err := os.Symlink(n.path(), path); err != nil {
		t.Fatal(err)
	}
	w, err := OpenWitness(WitnessOptions{NetNS: path})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self/ns/net", path); err != nil {
		t.Fatal(err)
	}
	local, err := w.LocalAddrs()
	if err != nil || !local[tcpstate.Addr4([]byte{192, 0, 2, 1})] {
		t.Errorf("%v, %v", local, err)
	}
}
