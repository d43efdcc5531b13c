package report

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/detect"
	"connrace/pcaps"
)

// TestEncoderKnowsTypes: what is asked of fields of documents, the encoder can do. What it was made
// for in this test is whatever was written of the corpus, with the types of all fields, those that
// nothing was in included.
func TestEncoderKnowsTypes(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		d := detect.New(detect.Options{Streams: true})
		d.Segments(s.Segments())
		r := &Report{Captures: []Capture{{Path: s.Name}}, Analyses: []Analysis{{Captures: []int{0}, Result: d.Finish()}}}
		if err := JSON(&bytes.Buffer{}, r, &Options{Streams: true, ShowQuery: true}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	encoders.Range(func(key, _ any) bool {
		n++
		typ := key.(reflect.Type)
		if why := unwritable(typ); why != "" {
			t.Errorf("%v: %s", typ, why)
		}
		return true
	})
	if n < 20 {
		t.Errorf("only %d types were written", n)
	}
}

// TestEncoderRefusesTypes: the test above sees what would be written wrongly.
func TestEncoderRefusesTypes(t *testing.T) {
	type embedded struct {
		A int `json:"a"`
	}
	for want, v := range map[string]any{
		"embedded pointer": struct{ *embedded }{},
		"embedded time":    struct{ time.Time }{},
		"left out": struct {
			A int `json:"-"`
		}{},
		"no name":      struct{ A int }{},
		"not exported": struct{ a int }{},
		"option string": struct {
			A int `json:"a,string"`
		}{},
		"option omitzero": struct {
			A int `json:"a,omitzero"`
		}{},
		"omitempty array": struct {
			A [2]int `json:"a,omitempty"`
		}{},
		"array": struct {
			A [2]int `json:"a"`
		}{},
		"bytes": struct {
			A []byte `json:"a"`
		}{},
		"keys of a map": struct {
			A map[int]int `json:"a"`
		}{},
		"function": struct {
			A func() `json:"a"`
		}{},
		"marshals itself": struct {
			A time.Time `json:"a"`
		}{},
		"text of its own": struct {
			A *ownText `json:"a"`
		}{},
		"twice": reflect.New(reflect.StructOf([]reflect.StructField{ // which vet would not like to see written
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"a"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"a"`},
		})).Elem().Interface(),
	} {
		if unwritable(reflect.TypeOf(v)) == "" {
			t.Errorf("%s: %T is taken for writable", want, v)
		}
	}
}

type ownText struct{}

func (*ownText) MarshalText() ([]byte, error) { return nil, nil }

// unwritable is why a value of a type, or of a field of it, would not be written as encoding/json
// writes it; "": it would.
func unwritable(t reflect.Type) string {
	value := t
	if t.Kind() == reflect.Pointer {
		value = t.Elem()
	}
	if own[value] != nil {
		return ""
	}
	for _, m := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Kind() != reflect.Interface && reflect.PointerTo(value).Implements(m) {
			return fmt.Sprintf("it is a %v, and not among own", m)
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		var keys []string
		return unwritableMembers(t, &keys)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes are base64"
		}
		return unknownKind(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String || t.Key().Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return "its keys are no strings"
		}
		return unknownKind(t.Elem())
	case reflect.Pointer:
		return unknownKind(t.Elem())
	default:
		return unknownKind(t)
	}
}

// unknownKind is why values of a kind cannot be written. Structs, maps and the like have encoders of
// their own.
func unknownKind(t reflect.Type) string {
	switch k := t.Kind(); k {
	case reflect.Array, reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.Uintptr, reflect.UnsafePointer:
		return k.String() + " is unknown"
	}
	return ""
}

func unwritableMembers(t reflect.Type, keys *[]string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			if f.Type.Kind() != reflect.Struct || f.Tag != "" || own[f.Type] != nil {
				return f.Name + " is embedded, and no plain struct"
			}
			if why := unwritable(f.Type); why != "" {
				return why
			}
			if why := unwritableMembers(f.Type, keys); why != "" {
				return why
			}
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported():
			return f.Name + " is not exported"
		case name == "" || name == "-":
			return f.Name + " has no name, or is left out"
		case option != "" && option != "omitempty":
			return f.Name + " has an unknown option"
		case slices.Contains(*keys, name):
			return name + " is there twice"
		}
		*keys = append(*keys, name)
		if why := unwritable(f.Type); why != "" {
			return f.Name + ": " + why
		}
	}
	return ""
}
