package report

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"connrace/cmd/connrace/internal/text"
)

// An encoder appends a value of its type as JSON, as encoding/json writes it without escaping
// HTML: a capture may have a million findings, and there it costs more to write one than to find
// it.
type encoder func(b []byte, v reflect.Value) []byte

// appender is a value that writes its own JSON.
type appender interface{ appendJSON(b []byte) []byte }

func appended[T appender](b []byte, v reflect.Value) []byte {
	x, _ := reflect.TypeAssert[T](v)
	return x.appendJSON(b)
}

// own are the encoders of such values.
var own = map[reflect.Type]encoder{
	reflect.TypeFor[count]():    appended[count],
	reflect.TypeFor[counts]():   appended[counts],
	reflect.TypeFor[optional](): appended[optional],
	reflect.TypeFor[seconds]():  appended[seconds],
	reflect.TypeFor[shown]():    appended[shown],
	reflect.TypeFor[stamp]():    appended[stamp],
}

// encoders are those of the types that were written, made once.
var encoders sync.Map // from reflect.Type

// appendJSON appends a value, or what it points to.
func appendJSON(b []byte, v any) []byte {
	x := reflect.ValueOf(v)
	return encoderOf(x.Type())(b, x)
}

func encoderOf(t reflect.Type) encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(encoder)
	}
	// A type that holds itself finds this one, and so does who comes meanwhile.
	var made sync.WaitGroup
	made.Add(1)
	var e encoder
	first, known := encoders.LoadOrStore(t, encoder(func(b []byte, v reflect.Value) []byte {
		made.Wait()
		return e(b, v)
	}))
	if known {
		return first.(encoder)
	}
	e = newEncoder(t)
	made.Done()
	encoders.Store(t, e)
	return e
}

func newEncoder(t reflect.Type) encoder {
	if e := own[t]; e != nil {
		return e
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(b []byte, v reflect.Value) []byte { return strconv.AppendBool(b, v.Bool()) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(b []byte, v reflect.Value) []byte { return strconv.AppendInt(b, v.Int(), 10) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(b []byte, v reflect.Value) []byte { return strconv.AppendUint(b, v.Uint(), 10) }
	case reflect.String:
		return func(b []byte, v reflect.Value) []byte { return appendString(b, v.String()) }
	case reflect.Struct:
		return newObjectEncoder(t)
	case reflect.Slice:
		return newListEncoder(t)
	case reflect.Map:
		return newMapEncoder(t)
	case reflect.Pointer:
		elem := encoderOf(t.Elem())
		return func(b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, "null"...)
			}
			return elem(b, v.Elem())
		}
	case reflect.Interface:
		return func(b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, "null"...)
			}
			return appendJSON(b, v.Interface())
		}
	}
	return func(b []byte, v reflect.Value) []byte {
		// Floating point; JSON has no number for what is infinite, or none.
		x, err := json.Marshal(v.Interface())
		if err != nil {
			return append(b, "null"...)
		}
		return append(b, x...)
	}
}

// member is a field of a struct that is written.
type member struct {
	field     int
	key       string // `,"name":`
	omitEmpty bool
	encode    encoder // embedded: of its members, without braces
}

// newObjectEncoder makes the encoder of a struct.
func newObjectEncoder(t reflect.Type) encoder {
	members := newMembersEncoder(t)
	return func(b []byte, v reflect.Value) []byte {
		n := len(b)
		if b = members(b, v); len(b) == n {
			return append(b, "{}"...)
		}
		b[n] = '{' // for the comma before the first
		return append(b, '}')
	}
}

// newMembersEncoder makes the encoder of the members of a struct, each behind a comma. Those of
// embedded ones are its own.
func newMembersEncoder(t reflect.Type) encoder {
	var ms []member
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			ms = append(ms, member{field: i, encode: newMembersEncoder(f.Type)})
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		ms = append(ms, member{i, `,"` + name + `":`, option == "omitempty", encoderOf(f.Type)})
	}
	return func(b []byte, v reflect.Value) []byte {
		for i := range ms {
			m := &ms[i]
			f := v.Field(m.field)
			if m.omitEmpty && empty(f) {
				continue
			}
			b = m.encode(append(b, m.key...), f)
		}
		return b
	}
}

// empty reports whether a field is left out where it may be.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func newListEncoder(t reflect.Type) encoder {
	elem := encoderOf(t.Elem())
	return func(b []byte, v reflect.Value) []byte {
		if v.IsNil() {
			return append(b, "null"...)
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = elem(b, v.Index(i))
		}
		return append(b, ']')
	}
}

// newMapEncoder makes the encoder of a map with strings as keys, which are sorted.
func newMapEncoder(t reflect.Type) encoder {
	elem := encoderOf(t.Elem())
	return func(b []byte, v reflect.Value) []byte {
		if v.IsNil() {
			return append(b, "null"...)
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k.String()), ':')
			b = elem(b, v.MapIndex(k))
		}
		return append(b, '}')
	}
}

// appendString appends a string, of which no octet need be text.
func appendString(b []byte, s string) []byte {
	if text.Simple(s) {
		return appendSimple(b, s)
	}
	b = append(b, '"')
	from := 0
	for i, n := 0, 0; i < len(s); i += n {
		var r rune
		if r, n = utf8.DecodeRuneInString(s[i:]); !special(r, n) {
			continue
		}
		b = appendEscaped(append(b, s[from:i]...), r)
		from = i + n
	}
	return append(append(b, s[from:]...), '"')
}

// appendSimple appends a string in which nothing is special.
func appendSimple(b []byte, s string) []byte {
	return append(append(append(b, '"'), s...), '"')
}

// special reports whether a character of n octets does not stand for itself.
func special(r rune, n int) bool {
	return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError && n <= 1 || r == '\u2028' || r == '\u2029'
}

// appendEscaped appends a character that does not stand for itself.
func appendEscaped(b []byte, r rune) []byte {
	const short = "\"\\\b\f\n\r\t"
	if i := strings.IndexRune(short, r); i >= 0 {
		return append(b, '\\', `"\bfnrt`[i])
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
