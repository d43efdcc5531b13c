package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/pcaps"
)

// What encoding/json is to write of the values that write themselves.
func (c count) MarshalJSON() ([]byte, error)         { return c.appendJSON(nil), nil }
func (f displayFilter) MarshalJSON() ([]byte, error) { return f.appendJSON(nil), nil }
func (f tupleFilter) MarshalJSON() ([]byte, error)   { return f.appendJSON(nil), nil }
func (c counts) MarshalJSON() ([]byte, error)        { return c.appendJSON(nil), nil }
func (s optional) MarshalJSON() ([]byte, error)      { return s.appendJSON(nil), nil }
func (r repeated) MarshalJSON() ([]byte, error)      { return r.appendJSON(nil), nil }
func (s seconds) MarshalJSON() ([]byte, error)       { return s.appendJSON(nil), nil }
func (s shown) MarshalJSON() ([]byte, error)         { return s.appendJSON(nil), nil }
func (t stamp) MarshalJSON() ([]byte, error)         { return t.appendJSON(nil), nil }

// Of a million findings nothing is garbage but the names of their ends and of flags.
func TestFindingsMakeNoGarbage(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own")
	}
	r := sample()
	a := &r.Analyses[0]
	f := *a.Result.Findings[0]
	f.Request, f.IdleFrom, f.Measures = nil, nil, detect.Measures{}
	f.Evidence = f.Evidence[2:] // one flag each: no memory
	for _, inexact := range []bool{false, true} {
		f.Inexact = inexact
		var d FindingDoc
		b := make([]byte, 0, 1<<14)
		if n := testing.AllocsPerRun(100, func() { b = appendJSON(b[:0], d.set(a, &f, &Options{}, "")) }); n > 2 {
			t.Errorf("inexact %t: %v times memory is taken for a finding, want 2", inexact, n)
		}
	}
}

// standard appends a value as encoding/json writes it.
func standard(b []byte, v any) []byte {
	var x bytes.Buffer
	enc := json.NewEncoder(&x)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return append(b, bytes.TrimSuffix(x.Bytes(), []byte("\n"))...)
}

// TestEncoder writes the report of each script of the corpus as encoding/json would, too.
func TestEncoder(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	reports := []*Report{sample()}
	for _, s := range scripts {
		d := detect.New(detect.Options{Streams: true})
		d.Segments(s.Segments())
		r := &Report{Captures: []Capture{{Path: s.Name}}, Analyses: []Analysis{{Captures: []int{0}, Result: d.Finish()}}}
		reports = append(reports, r)
	}
	for _, r := range reports {
		var got, want bytes.Buffer
		o := &Options{Streams: true, ShowQuery: true}
		if err := JSON(&got, r, o); err != nil {
			t.Fatal(err)
		}
		j := newObject(&want)
		j.encode = standard
		if err := j.report(r, o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s:\n%s\nwant:\n%s", r.Captures[0].Path, &got, &want)
		}
	}
}

// Forms that few reports have.
func TestEncoderForms(t *testing.T) {
	type inner struct {
		A     int8    `json:"a"`
		Again []inner `json:"again"`
	}
	type outer struct {
		inner
		Left  []int             `json:"left,omitempty"`
		Nil   []string          `json:"nil"`
		Any   any               `json:"any"`
		Map   map[string]stamp  `json:"map"`
		None  map[string]string `json:"none"`
		Float float64           `json:"float"`
		To    *inner            `json:"to"`
	}
	for _, v := range []any{
		struct{}{},
		&outer{},
		[]outer{{inner: inner{-1, []inner{{}}}, Any: seconds{NS: 1, Known: true}, Map: map[string]stamp{"b\x00": 1, "a": 0}, Float: 1e-7, To: &inner{}}},
		outer{Left: []int{1, 2}, Any: 0.25, Nil: []string{"", "é"}, None: map[string]string{}},
	} {
		if got, want := appendJSON(nil, v), standard(nil, v); !bytes.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("/a\x1b\xff\u202e and eight more")
	f.Add(`"\"<&>` + "\u2028\\\x00\b\f\n\r\t\x7f\ufffd")
	for i := range 256 {
		f.Add("1234567" + string([]byte{byte(i)}) + "9")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := appendString(nil, s), standard(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func FuzzOptional(f *testing.F) {
	f.Add("/a\x1b\xff\u202e")
	f.Add(`"\"<&>` + "\u2028\\")
	f.Fuzz(func(t *testing.T, s string) {
		var read string
		if b, err := json.Marshal(optional(s)); err != nil || json.Unmarshal(b, &read) != nil || read != text.Clean(s) {
			t.Errorf("%q as JSON: %s, %v", s, b, err)
		}
	})
}

func TestSeconds(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0", 1: "0.000000001", 5001874000: "5.001874", 60e9: "60", 100e6: "0.1", -1500e6: "-1.5", 1<<63 - 1: "9223372036.854775807",
		-1 << 63: "-9223372036.854775808",
	} {
		b, err := json.Marshal(seconds{NS: ns, Known: true})
		if err != nil || string(b) != want {
			t.Errorf("%d ns: %s, %v, want %s", ns, b, err, want)
		}
	}
	if b, _ := json.Marshal(seconds(detect.Duration{})); string(b) != "null" {
		t.Errorf("unknown: %s", b)
	}
}
