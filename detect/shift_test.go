package detect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"connrace/pcaps"
	"connrace/tcpstate"
)

// Shift moves every time that a detector remembers. A field that Shift has forgotten fails
// here by its name: whatever looks like a time of the capture, an int64 within a day of it,
// must have moved. What is only told, findings and what is asked for by name, stays.
func TestShiftMovesEveryTime(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	const by = 30 * 24 * 3600 * second // more than a day, to be told from what has not moved
	seen := map[string]bool{}
	for i := range 2 * len(scripts) {
		s := scripts[i/2]
		segs := s.Segments()
		if i%2 == 0 {
			segs = segs[:len(segs)*3/4+1]
		}
		d := New(Options{Live: true})
		for i := range segs {
			now := segs[i].Time
			d.AddSample(&KernelSample{
				Time: now, Listeners: []KernelListener{{End: segs[i].Dst, Queue: 2, Limit: 1, Drops: uint32(i)}},
				Counters: KernelCounters{ListenOverflows: uint64(i)}, Sockets: []KernelSocket{{Path: "x", Queue: uint32(i % 2), Limit: 0}},
			})
			d.Gap(0, now)
			d.Segments(segs[i : i+1])
			d.Advance(now)
		}
		at := segs[0].Time
		before := times(d, at)
		for path := range before {
			seen[plain(path)] = true
		}
		d.Shift(by)
		after := times(d, at)
		for path, v := range after {
			if was, ok := before[path]; ok && was == v {
				t.Errorf("%s: %s has not moved", s.Name, path)
			}
		}
		if t.Failed() {
			return
		}
	}
	// The walk reaches what it should.
	for _, field := range []string{
		".gaps[]", ".kernel.last", ".kernel.counters.v[].time", ".pending[].from", ".pending[].expected.ignored[]", ".pending[].close.Close.Time",
		".requests.v[].time", ".targets.all[].syns.v[].ref.Time", ".targets.all[].used", ".targets.all[].told.waits.all[].ref.Time",
		".targets.all[].told.closes.Ring.v[].Known", ".targets.all[].told.overflows.newest.v[].At", ".targets.all[].told.drops.newest.v[].At", ".due", ".reviewed",
	} {
		if !seen[field] {
			t.Errorf("no script has a time in %s", field)
		}
	}
}

// plain is a path without indices.
func plain(path string) string {
	var b strings.Builder
	in := false
	for _, r := range path {
		switch {
		case r == '[':
			in = true
			b.WriteRune(r)
		case r == ']':
			in = false
			b.WriteRune(r)
		case !in:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// times are the int64 values near a time that a detector reaches, by path.
func times(d *Detector, at int64) map[string]int64 {
	out := map[string]int64{}
	skip := []reflect.Type{
		reflect.TypeFor[*tcpstate.Tracker](), // it has a test of its own
		reflect.TypeFor[*Finding](), reflect.TypeFor[Facts](), reflect.TypeFor[Totals](), reflect.TypeFor[forgotten](), reflect.TypeFor[*exchanges](),
		reflect.TypeFor[Options](), reflect.TypeFor[*Rule](),
	}
	visited := map[uintptr]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if slices.Contains(skip, v.Type()) {
			return
		}
		switch v.Kind() {
		case reflect.Int64:
			if x := v.Int(); x > at-24*3600*second && x < at+24*3600*second {
				out[path] = x
			}
		case reflect.Pointer:
			if v.IsNil() || visited[v.Pointer()] {
				return
			}
			visited[v.Pointer()] = true
			walk(path, v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				walk(fmt.Sprintf("%s[%v]", path, k), v.MapIndex(k))
			}
		}
	}
	walk("", reflect.ValueOf(d).Elem())
	return out
}
