package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader takes a piece every now and then, and nothing any more once it has had enough,
// until it is gone.
type slowReader struct {
	bytes.Buffer
	every time.Duration
	most  int
	gone  chan struct{}
}

func (s *slowReader) Write(b []byte) (int, error) {
	if s.Len()+len(b) > s.most {
		<-s.gone
		return 0, io.ErrClosedPipe
	}
	time.Sleep(s.every)
	return s.Buffer.Write(b)
}

// brokenWriter fails.
type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

// What is written comes out whole and in order, and nobody waits for it; where standard
// output and standard error are one, in the order of both.
func TestOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := &slowReader{every: time.Second, most: 1 << 20}
		e, end := (&env{nil, both, both}).apart(t.Context())
		begun := time.Now()
		want := ""
		for i := range 100 {
			fmt.Fprintf(e.stdout, "out %d\n", i)
			fmt.Fprintf(e.stderr, "err %d\n", i)
			want += fmt.Sprintf("out %[1]d\nerr %[1]d\n", i)
		}
		large := strings.Repeat("x", 3*outletPiece)
		io.WriteString(e.stdout, large)
		if took := time.Since(begun); took != 0 {
			t.Errorf("writing took %v", took)
		}
		if code := end(exitOK); code != exitOK || both.String() != want+large {
			t.Errorf("exit %d, %q", code, both.String())
		}
		if took := time.Since(begun); took != 203*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Once the end is to come, a slow reader gets all, but one who takes nothing is not waited
// for.
func TestOutletUnread(t *testing.T) {
	const most = 10 * outletPiece
	for _, c := range []struct {
		name   string
		octets int
		code   int
		took   time.Duration
	}{
		{"slow", most, exitOK, 10 * outletPatience / 2},
		{"stuck", most + 1, exitError, 10*outletPatience/2 + outletPatience},
		{"full", 2 * outletRoom * outletPiece, exitError, 10*outletPatience/2 + outletPatience},
	} {
		synctest.Test(t, func(t *testing.T) {
			var stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			reader := &slowReader{every: outletPatience / 2, most: most, gone: make(chan struct{})}
			e, end := (&env{nil, reader, &stderr}).apart(ctx)
			begun := time.Now()
			for n := 0; n < c.octets; n += outletPiece {
				e.stdout.Write(make([]byte, min(outletPiece, c.octets-n)))
			}
			code := end(exitOK)
			if took := time.Since(begun); code != c.code || took != c.took {
				t.Errorf("%s: exit %d after %v, want %d after %v", c.name, code, took, c.code, c.took)
			}
			if want := "connrace: writing the output: nobody reads it: the rest of it was given up\n"; (stderr.String() == want) != (c.code != exitOK) {
				t.Errorf("%s: stderr: %q", c.name, &stderr)
			}
			close(reader.gone)
		})
	}
}

func TestOutletErrors(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{full, exitError, "connrace: writing the output: write /dev/stdout: no space left on device\n"},
		{io.ErrClosedPipe, exitFailOn, ""}, // whoever reads has enough
	} {
		var stderr bytes.Buffer
		e, end := (&env{nil, brokenWriter{c.err}, &stderr}).apart(t.Context())
		for range 3 * outletRoom {
			io.WriteString(e.stdout, "x\n")
		}
		if err := e.outputErr(); !errors.Is(err, c.err) {
			t.Errorf("%v, want %v", err, c.err)
		}
		if code := end(exitFailOn); code != c.code || stderr.String() != c.want {
			t.Errorf("%v: exit %d, %q", c.err, code, &stderr)
		}
	}
}
