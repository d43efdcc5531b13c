package capture

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// bgzip compresses data to members of so many octets that say how long they are, and an empty one behind them.
func bgzip(t testing.TB, data []byte, octets int) []byte {
	t.Helper()
	var all bytes.Buffer
	for more := true; more; {
		n := min(octets, len(data))
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Extra = []byte("XY\x01\x00zBC\x02\x00\x00\x00") // behind what somebody else says
		z.Write(data[:n])
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint16(b.Bytes()[12+9:], uint16(b.Len()-1))
		all.Write(b.Bytes())
		data, more = data[n:], n > 0
	}
	return all.Bytes()
}

// sideBySide is how a file is read whose members are inflated side by side.
var sideBySide = ReadOptions{Ahead: 2 << 20, Workers: 3}

// Members that are inflated side by side give what they give one after the other.
func TestBGZF(t *testing.T) {
	data := (&pcapWriter{}).file(5000)
	want, _, err := readAll(t, data, ReadOptions{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	plain := compress(t, "gzip", data[len(data)/2:])
	for name, c := range map[string][]byte{
		"members":                   bgzip(t, data, 1000),
		"few members":               bgzip(t, data, bgzfMost),
		"larger ones than may be":   bgzip(t, data, 2*bgzfMost),
		"others behind them":        append(bgzip(t, data[:len(data)/2], 3000), plain...),
		"others between them":       append(append(bgzip(t, data[:1000], 100), compress(t, "gzip", data[1000:2000])...), bgzip(t, data[2000:], 5000)...),
		"something else behind":     append(bgzip(t, data, 1000), "something else"...),
		"zeros behind (tape block)": append(bgzip(t, data, 1000), make([]byte, 600)...),
	} {
		got, info, err := readAll(t, c, sideBySide, 100)
		_, alone, errAlone := readAll(t, c, ReadOptions{}, 100)
		if err != nil || errAlone != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(info, alone) {
			t.Errorf("%s: %d frames of %d, %v, %+v; %v, %+v", name, len(got), len(want), err, info, errAlone, alone)
		}
	}
	for _, opt := range []ReadOptions{sideBySide, {Ahead: sideBySide.Ahead, Workers: 1000}} { // no more than there is room for
		f, err := NewFile("test", bytes.NewReader(bgzip(t, data, 1000)), opt)
		if err != nil {
			t.Fatal(err)
		}
		f.Close() // before it was read
		if n := f.Inflaters(); n != sideBySide.Workers {
			t.Errorf("%d inflate it", n)
		}
	}
}

// What is wrong with a file is found where it is found by who reads one member after the other, and is called the same.
func TestBGZFDamaged(t *testing.T) {
	data := (&pcapWriter{}).file(30)
	good := bgzip(t, data, 300)
	differ := func(what string, at int, c []byte) {
		got, info, err := readAll(t, c, sideBySide, 10)
		want, wantInfo, wantErr := readAll(t, c, ReadOptions{}, 10)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(info, wantInfo) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%s at %d of %d: %d frames, %v, %+v; want %d, %v, %+v", what, at, len(good), len(got), err, info, len(want), wantErr, wantInfo)
		}
	}
	for i := 0; i < len(good); i += 7 { // members are of other lengths
		differ("cut off", i, good[:i])
		c := bytes.Clone(good)
		c[i] ^= 1 << (i % 8)
		differ("changed", i, c)
	}
}
