package procs

import (
	"encoding/binary"
	"testing"

	"connrace/detect"
)

func TestParseExit(t *testing.T) {
	message := func(what, thread, group, code uint32) []byte {
		m := make([]byte, netlinkHeader+cnHeader+32)
		e := m[netlinkHeader+cnHeader:]
		binary.NativeEndian.PutUint32(e, what)
		binary.NativeEndian.PutUint64(e[8:], 5)
		binary.NativeEndian.PutUint32(e[16:], thread)
		binary.NativeEndian.PutUint32(e[20:], group)
		binary.NativeEndian.PutUint32(e[24:], code)
		return m
	}
	for _, tt := range []struct {
		m    []byte
		want detect.Exit
		ok   bool
	}{
		{message(procExit, 7, 7, 9), detect.Exit{Time: 5, Signal: 9}, true},
		{message(procExit, 7, 7, 0x8b), detect.Exit{Time: 5, Signal: 11}, true}, // with a core dump
		{message(procExit, 7, 7, 0x300), detect.Exit{Time: 5, Code: 3}, true},
		{message(procExit, 8, 7, 9), detect.Exit{}, false}, // a thread's
		{message(1, 7, 7, 0), detect.Exit{}, false},
		{message(procExit, 7, 7, 9)[:50], detect.Exit{}, false},
		{nil, detect.Exit{}, false},
	} {
		pid, e, ok := parseExit(tt.m)
		if ok != tt.ok || ok && (pid != 7 || e != tt.want) {
			t.Errorf("%x: %d, %+v, %v", tt.m, pid, e, ok)
		}
	}
}
