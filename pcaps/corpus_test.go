package pcaps

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the scripts in canonical form, and crowder.pcap")

// The scripts of the corpus are written as Format writes them.
func TestCanonical(t *testing.T) {
	all, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		name := "scripts/" + s.Name + ".txt"
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := s.Format(); !bytes.Equal(text, want) {
			if !*update {
				t.Errorf("%s is not in canonical form: run go test ./pcaps -update", name)
				continue
			}
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
