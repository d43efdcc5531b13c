package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"connrace/cmd/connrace/internal/cli"
)

// TestShareFindings: what is found in a copy that may be shown is what was found in the capture,
// but for names and addresses.
func TestShareFindings(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "out.pcapng")
	found := 0
	all := capturesOf(t)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if raced && i%10 != 0 {
			continue
		}
		data := all[name]
		if err := os.WriteFile(in, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := after(t, t.Context(), nil, "share", "-q", in, out); code != cli.ExitOK || stderr != "" {
			t.Errorf("%s: share: exit %d, %s", name, code, stderr)
			continue
		}
		_, a, _ := after(t, t.Context(), nil, "--format", "json", "-q", in)
		_, b, _ := after(t, t.Context(), nil, "--format", "json", "-q", out)
		want, got := nameless(t, a), nameless(t, b)
		found += len(want["findings"].([]any))
		for _, d := range differences("", want, got) {
			t.Errorf("%s: %s", name, d)
		}
	}
	if found == 0 {
		t.Error("nothing was found: nothing was compared")
	}
}

// nameless is a report without what a copy replaces: names become whether they are there,
// addresses the order in which they appear, and texts, which cite both, are left out.
func nameless(t *testing.T, report string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(report), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"captures", "problems"} { // file names; texts of the findings
		delete(doc, key)
	}
	delete(doc["totals"].(map[string]any), "skipped") // of what is around segments, nothing is kept
	addrs := map[string]string{}
	addr := func(s string) string {
		if _, ok := addrs[s]; !ok {
			addrs[s] = fmt.Sprint("address ", len(addrs)+1)
		}
		return addrs[s]
	}
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, x := range v {
				switch key {
				case "path", "trace_id", "request_id":
					v[key] = x != nil
				case "summary", "cause", "fix", "note", "basis", "grounds", "tuple_filter", "advice", "hint":
					delete(v, key)
				}
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				v[key] = strip(v[key])
			}
		case []any:
			for i := range v {
				v[i] = strip(v[i])
			}
		case string:
			if a, err := netip.ParseAddrPort(v); err == nil {
				return fmt.Sprint(addr(a.Addr().String()), " port ", a.Port())
			}
			if _, err := netip.ParseAddr(v); err == nil {
				return addr(v)
			}
		}
		return v
	}
	// Findings first: they have an order that addresses do not change.
	strip(doc["findings"])
	strip(doc)
	return doc
}

// differences are the places where two documents differ.
func differences(at string, want, got any) (ds []string) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok && len(g) == len(w) {
			for key := range w {
				ds = append(ds, differences(at+"/"+key, w[key], g[key])...)
			}
			return ds
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				ds = append(ds, differences(fmt.Sprintf("%s/%d", at, i), w[i], g[i])...)
			}
			return ds
		}
	}
	if !reflect.DeepEqual(want, got) {
		ds = append(ds, fmt.Sprintf("%s is %v, of the copy %v", at, want, got))
	}
	return ds
}
