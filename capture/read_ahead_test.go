package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// What is read ahead is what there is, up to the error that ends it, however it comes.
func TestReadAhead(t *testing.T) {
	data := make([]byte, 5*aheadBlock+123)
	rand.NewChaCha8([32]byte{}).Read(data)
	failed := errors.New("failed")
	for _, c := range []struct {
		r    io.Reader
		want error
	}{
		{bytes.NewReader(data), nil},
		{iotest.HalfReader(bytes.NewReader(data)), nil},
		{iotest.DataErrReader(bytes.NewReader(data)), nil},
		{io.MultiReader(bytes.NewReader(data), iotest.ErrReader(failed)), failed},
	} {
		a := newReadAhead(c.r, 2*aheadBlock)
		got, err := io.ReadAll(a)
		if !bytes.Equal(got, data) || err != c.want {
			t.Errorf("%d octets, %v; want %d, %v", len(got), err, len(data), c.want)
		}
		a.close()
	}
}

// Nothing more is read when it is closed early, of an input without an end.
func TestReadAheadClosed(t *testing.T) {
	for _, read := range []int{0, 1, 3 * aheadBlock} {
		a := newReadAhead(nothing{}, 2*aheadBlock)
		if _, err := io.ReadFull(a, make([]byte, read)); err != nil {
			t.Error(err)
		}
		a.close()
	}
}

type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
