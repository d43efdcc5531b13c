package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func names(t *testing.T, dir string) (ns []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		ns = append(ns, e.Name())
	}
	return ns
}

func octets(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	}
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s, err := OpenStore(dir, Limit{Files: 3, Bytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "0000-mine.txt"), nil, 0o600)
	put := func(n int, want ...string) {
		t.Helper()
		path, err := s.Put(fmt.Sprintf("rule-%d", n), octets(n))
		if err != nil {
			t.Fatal(err)
		}
		if last := want[len(want)-1]; filepath.Base(path) != last {
			t.Errorf("wrote %s, want %s", path, last)
		}
		if got := names(t, dir); !slices.Equal(got, append([]string{"0000-mine.txt"}, want...)) {
			t.Errorf("there are %v, want %v", got, want)
		}
		sum := int64(0)
		for _, n := range want {
			st, _ := os.Stat(filepath.Join(dir, n))
			sum += st.Size()
		}
		if files, bytes := s.Kept(); files != len(want) || bytes != sum {
			t.Errorf("%d files, %d octets; want %d, %d", files, bytes, len(want), sum)
		}
	}
	put(100, "0001-rule-100.pcapng")
	put(200, "0001-rule-100.pcapng", "0002-rule-200.pcapng")
	put(300, "0001-rule-100.pcapng", "0002-rule-200.pcapng", "0003-rule-300.pcapng")
	put(10, "0002-rule-200.pcapng", "0003-rule-300.pcapng", "0004-rule-10.pcapng") // one too many
	put(900, "0004-rule-10.pcapng", "0005-rule-900.pcapng")                        // octets too many
	if s.Removed != 3 {
		t.Errorf("%d removed", s.Removed)
	}

	// Neither what is too large nor what fails leaves a trace.
	for _, write := range []func(io.Writer) error{octets(1001), func(w io.Writer) error { w.Write([]byte("x")); return errors.New("no space") }} {
		if _, err := s.Put("rule-6", write); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "0006-rule-6.pcapng")+": ") {
			t.Errorf("error %v", err)
		}
	}
	if s.Failed != 2 || len(names(t, dir)) != 3 {
		t.Errorf("%d failed, there are %v", s.Failed, names(t, dir))
	}

	// Another run goes on where this one ended, and tidies up.
	os.WriteFile(filepath.Join(dir, ".0006-rule-6.pcapng.0123abcd"), nil, 0o600)
	if s, err = OpenStore(dir, Limit{Files: 2}); err != nil {
		t.Fatal(err)
	}
	put(1, "0005-rule-900.pcapng", "0006-rule-1.pcapng")
	if s, err = OpenStore(dir, Limit{Files: 1}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"0000-mine.txt", "0006-rule-1.pcapng"}) {
		t.Errorf("a smaller limit leaves %v", got)
	}
	if path, err := s.Put("../../Evil\x00", octets(1)); err != nil || filepath.Base(path) != "0007--------vil-.pcapng" {
		t.Errorf("%q, %v", path, err)
	}

	file := filepath.Join(dir, "0000-mine.txt")
	if _, err := OpenStore(file, Limit{}); err == nil || !bytes.HasPrefix([]byte(err.Error()), []byte(file+": ")) {
		t.Errorf("a file for a directory: %v", err)
	}
}
