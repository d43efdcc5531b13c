package report

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"connrace/cmd/connrace/internal/text"
)

// An encoder appends the value of its type that stands at p as JSON, as encoding/json writes it
// without escaping HTML: a capture may have a million findings, and there it costs more to write
// one than to find it. Values are read where they lie, for to go through them by reflection costs
// more than to write them; only who makes encoders, of types, makes such pointers.
type encoder func(b []byte, p unsafe.Pointer) []byte

// appender is a value that writes its own JSON.
type appender interface{ appendJSON(b []byte) []byte }

func appended[T appender](b []byte, p unsafe.Pointer) []byte { return (*(*T)(p)).appendJSON(b) }

// own are the encoders of such values.
var own = map[reflect.Type]encoder{
	reflect.TypeFor[count]():         appended[count],
	reflect.TypeFor[counts]():        appended[counts],
	reflect.TypeFor[displayFilter](): appended[displayFilter],
	reflect.TypeFor[optional]():      appended[optional],
	reflect.TypeFor[repeated]():      appended[repeated],
	reflect.TypeFor[seconds]():       appended[seconds],
	reflect.TypeFor[shown]():         appended[shown],
	reflect.TypeFor[stamp]():         appended[stamp],
	reflect.TypeFor[tupleFilter]():   appended[tupleFilter],
	reflect.TypeFor[ours]():          appended[ours],
}

func signed[T int | int8 | int16 | int32 | int64](b []byte, p unsafe.Pointer) []byte {
	x := int64(*(*T)(p))
	if x < 0 {
		return strconv.AppendInt(b, x, 10)
	}
	return appendUint(b, uint64(x))
}

func unsigned[T uint | uint8 | uint16 | uint32 | uint64](b []byte, p unsafe.Pointer) []byte {
	return appendUint(b, uint64(*(*T)(p)))
}

// basic are the encoders of what is no more than its kind.
var basic = map[reflect.Kind]encoder{
	reflect.Bool:   func(b []byte, p unsafe.Pointer) []byte { return strconv.AppendBool(b, *(*bool)(p)) },
	reflect.String: func(b []byte, p unsafe.Pointer) []byte { return appendString(b, *(*string)(p)) },
	reflect.Int:    signed[int], reflect.Int8: signed[int8], reflect.Int16: signed[int16], reflect.Int32: signed[int32], reflect.Int64: signed[int64],
	reflect.Uint: unsigned[uint], reflect.Uint8: unsigned[uint8], reflect.Uint16: unsigned[uint16], reflect.Uint32: unsigned[uint32], reflect.Uint64: unsigned[uint64],
}

// encoders are those of the types that were written, made once.
var encoders sync.Map // from reflect.Type

// appendJSON appends a value, or what it points to.
func appendJSON(b []byte, v any) []byte {
	x := reflect.ValueOf(v)
	if !x.IsValid() {
		return append(b, "null"...)
	}
	if x.Kind() != reflect.Pointer {
		at := reflect.New(x.Type())
		at.Elem().Set(x)
		x = at
	}
	if x.IsNil() {
		return append(b, "null"...)
	}
	return encoderOf(x.Type().Elem())(b, x.UnsafePointer())
}

func encoderOf(t reflect.Type) encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(encoder)
	}
	// A type that holds itself finds this one, and so does who comes meanwhile.
	var made sync.WaitGroup
	made.Add(1)
	var e encoder
	first, known := encoders.LoadOrStore(t, encoder(func(b []byte, p unsafe.Pointer) []byte {
		made.Wait()
		return e(b, p)
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
	if e := basic[t.Kind()]; e != nil {
		return e
	}
	switch t.Kind() {
	case reflect.Struct:
		return newObjectEncoder(t)
	case reflect.Slice:
		return newListEncoder(t)
	case reflect.Map:
		return newMapEncoder(t)
	case reflect.Pointer:
		elem := encoderOf(t.Elem())
		return func(b []byte, p unsafe.Pointer) []byte {
			if p = *(*unsafe.Pointer)(p); p == nil {
				return append(b, "null"...)
			}
			return elem(b, p)
		}
	}
	return func(b []byte, p unsafe.Pointer) []byte {
		switch v := valueAt(t, p); {
		case t.Kind() != reflect.Interface:
			// Floating point; JSON has no number for what is infinite, or none.
			x, err := json.Marshal(v.Interface())
			if err != nil {
				return append(b, "null"...)
			}
			return append(b, x...)
		case v.IsNil():
			return append(b, "null"...)
		default:
			return appendJSON(b, v.Interface())
		}
	}
}

// valueAt is the value of a type that stands at p.
func valueAt(t reflect.Type, p unsafe.Pointer) reflect.Value { return reflect.NewAt(t, p).Elem() }

// slice is how a slice lies in memory.
type slice struct {
	first    unsafe.Pointer
	len, cap int
}

// member is a field of a struct that is written.
type member struct {
	at     uintptr                     // from the beginning of the struct
	key    string                      // `,"name":`
	begin  [keyRoom]byte               // of the key
	empty  func(p unsafe.Pointer) bool // nil: it is written where it is empty, too
	encode encoder                     // embedded: of its members, without braces
}

// keyRoom is the length of nearly all keys at most: so many octets are copied at once, by a few
// instructions, and those behind the key are written over.
const keyRoom = 32

// appendKey appends the member's key.
func (m *member) appendKey(b []byte) []byte {
	n := len(b)
	if len(m.key) > keyRoom || cap(b)-n < keyRoom {
		return append(b, m.key...)
	}
	*(*[keyRoom]byte)(b[n : n+keyRoom]) = m.begin
	return b[:n+len(m.key)]
}

// newObjectEncoder makes the encoder of a struct.
func newObjectEncoder(t reflect.Type) encoder {
	members := newMembersEncoder(t)
	return func(b []byte, p unsafe.Pointer) []byte {
		n := len(b)
		if b = members(b, p); len(b) == n {
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
			ms = append(ms, member{at: f.Offset, encode: newMembersEncoder(f.Type)})
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := member{at: f.Offset, key: `,"` + name + `":`, encode: encoderOf(f.Type)}
		copy(m.begin[:], m.key)
		if option == "omitempty" {
			m.empty = emptiness(f.Type)
		}
		ms = append(ms, m)
	}
	return func(b []byte, p unsafe.Pointer) []byte {
		for i := range ms {
			m := &ms[i]
			f := unsafe.Add(p, m.at)
			if m.empty != nil && m.empty(f) {
				continue
			}
			b = m.encode(m.appendKey(b), f)
		}
		return b
	}
}

// emptiness reports of values of a type whether they are left out where they may be.
func emptiness(t reflect.Type) func(p unsafe.Pointer) bool {
	switch t.Kind() {
	case reflect.String:
		return func(p unsafe.Pointer) bool { return *(*string)(p) == "" }
	case reflect.Slice:
		return func(p unsafe.Pointer) bool { return (*slice)(p).len == 0 }
	case reflect.Map:
		return func(p unsafe.Pointer) bool { return valueAt(t, p).Len() == 0 }
	case reflect.Struct:
		return func(unsafe.Pointer) bool { return false }
	}
	return func(p unsafe.Pointer) bool { return valueAt(t, p).IsZero() }
}

func newListEncoder(t reflect.Type) encoder {
	elem, size := encoderOf(t.Elem()), t.Elem().Size()
	return func(b []byte, p unsafe.Pointer) []byte {
		l := (*slice)(p)
		if l.first == nil {
			return append(b, "null"...)
		}
		b = append(b, '[')
		for i := range l.len {
			if i > 0 {
				b = append(b, ',')
			}
			b = elem(b, unsafe.Add(l.first, uintptr(i)*size))
		}
		return append(b, ']')
	}
}

// newMapEncoder makes the encoder of a map with strings as keys, which are sorted.
func newMapEncoder(t reflect.Type) encoder {
	return func(b []byte, p unsafe.Pointer) []byte {
		v := valueAt(t, p)
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
			b = appendJSON(b, v.MapIndex(k).Interface())
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
