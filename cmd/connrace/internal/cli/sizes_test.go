package cli

import "testing"

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"64MB": 64e6, "64MiB": 64 << 20, "64M": 64 << 20, "1g": 1 << 30, "1.5kB": 1500, "500000": 500000, " 2 kb ": 2000, "7b": 7,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q is %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MB", "-1", "1X", "1e30g", "0x10", "1kk", "NaN", "Inf"} {
		var z Size
		if err := z.Set(in); err == nil {
			t.Errorf("%q is %d", in, z)
		}
	}
	for in, want := range map[string]Millions{"100": 100e6, "100k": 100 << 10, "1g": 1 << 30, "2MB": 2e6} {
		var m Millions
		if err := m.Set(in); err != nil || m != want {
			t.Errorf("-C %q is %d, %v", in, m, err)
		}
	}
	for in, want := range map[string]Limit{"1000": {Files: 1000}, "500MB": {Bytes: 500e6}, "10,1GiB": {10, 1 << 30}, "1GiB,10": {10, 1 << 30}} {
		var l Limit
		if err := l.Set(in); err != nil || l != want {
			t.Errorf("%q is %+v, %v", in, l, err)
		}
	}
	for _, in := range []string{"", "0", "1MB,2MB", "x", "1,2,3"} {
		var l Limit
		if err := l.Set(in); err == nil {
			t.Errorf("%q is %+v", in, l)
		}
	}
	l := Limit{Files: 1000, Bytes: 1 << 30}
	if l.String() != "1000,1GiB" {
		t.Error(l.String())
	}
}
