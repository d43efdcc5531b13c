package capture_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"connrace/capture"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// TestCorpusThroughFiles writes every script, in every form that a capture can take, to
// a capture file and reads it back: the decoder must give what the script says.
func TestCorpusThroughFiles(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	forms := append([]pcaps.Transform{{Name: "as it is", Apply: func(s *pcaps.Script) *pcaps.Script { return s }}}, pcaps.Transforms...)
	for _, s := range scripts {
		for _, form := range forms {
			if testing.Short() && !form.Container {
				continue
			}
			changed := form.Apply(s)
			var file bytes.Buffer
			if err := changed.WritePCAP(&file, form.File); err != nil {
				t.Fatalf("%s, %s: %v", s.Name, form.Name, err)
			}
			got := read(t, file.Bytes())
			want := changed.Segments()
			if len(got) != len(want) {
				t.Errorf("%s, %s: %d segments, want %d", s.Name, form.Name, len(got), len(want))
				continue
			}
			for i := range got {
				if len(want[i].Payload) == 0 {
					want[i].Payload = nil
				}
				if !form.File.Nano {
					want[i].Time -= want[i].Time % 1000
				}
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("%s, %s, segment %d:\n got %+v\nwant %+v", s.Name, form.Name, i, got[i], want[i])
					break
				}
			}
		}
	}
}

// read decodes a whole capture; empty payloads come out nil.
func read(t *testing.T, file []byte) []tcpstate.Segment {
	t.Helper()
	f, err := capture.NewFile("script", bytes.NewReader(file), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := capture.NewDecoder()
	frames := make([]capture.Frame, 16)
	var out []tcpstate.Segment
	for {
		n, err := f.Read(frames)
		for i := range frames[:n] {
			for _, s := range d.Decode(&frames[i], nil) {
				if len(s.Payload) > 0 {
					s.Payload = bytes.Clone(s.Payload)
				} else {
					s.Payload = nil
				}
				out = append(out, s)
			}
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
