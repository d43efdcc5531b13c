package cli

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
func TestAsyncOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := &slowReader{every: time.Second, most: 1 << 20}
		e, end := (&Env{Stdout: both, Stderr: both}).Apart(t.Context())
		begun := time.Now()
		want := ""
		for i := range 100 {
			fmt.Fprintf(e.Stdout, "out %d\n", i)
			fmt.Fprintf(e.Stderr, "err %d\n", i)
			want += fmt.Sprintf("out %[1]d\nerr %[1]d\n", i)
		}
		large := strings.Repeat("x", 3*asyncPiece)
		io.WriteString(e.Stdout, large)
		if took := time.Since(begun); took != 0 {
			t.Errorf("writing took %v", took)
		}
		if code := end(ExitOK); code != ExitOK || both.String() != want+large {
			t.Errorf("exit %d, %q", code, both.String())
		}
		if took := time.Since(begun); took != 203*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Once the end is to come, a slow reader gets all, but one who takes nothing is not waited
// for.
func TestAsyncOutUnread(t *testing.T) {
	const most = 10 * asyncPiece
	for _, c := range []struct {
		name   string
		octets int
		code   int
		took   time.Duration
	}{
		{"slow", most, ExitOK, 10 * asyncPatience / 2},
		{"stuck", most + 1, ExitError, 10*asyncPatience/2 + asyncPatience},
		{"full", 2 * asyncRoom * asyncPiece, ExitError, 10*asyncPatience/2 + asyncPatience},
	} {
		synctest.Test(t, func(t *testing.T) {
			var stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			reader := &slowReader{every: asyncPatience / 2, most: most, gone: make(chan struct{})}
			e, end := (&Env{Stdout: reader, Stderr: &stderr}).Apart(ctx)
			begun := time.Now()
			for n := 0; n < c.octets; n += asyncPiece {
				e.Stdout.Write(make([]byte, min(asyncPiece, c.octets-n)))
			}
			code := end(ExitOK)
			if took := time.Since(begun); code != c.code || took != c.took {
				t.Errorf("%s: exit %d after %v, want %d after %v", c.name, code, took, c.code, c.took)
			}
			if want := "connrace: writing the output: nobody reads it: the rest of it was given up\n"; (stderr.String() == want) != (c.code != ExitOK) {
				t.Errorf("%s: stderr: %q", c.name, &stderr)
			}
			close(reader.gone)
		})
	}
}

func TestAsyncOutErrors(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{full, ExitError, "connrace: writing the output: write /dev/stdout: no space left on device\n"},
		{io.ErrClosedPipe, ExitFailOn, ""}, // whoever reads has enough
	} {
		var stderr bytes.Buffer
		e, end := (&Env{Stdout: brokenWriter{c.err}, Stderr: &stderr}).Apart(t.Context())
		for range 3 * asyncRoom {
			io.WriteString(e.Stdout, "x\n")
		}
		if err := e.OutputErr(); !errors.Is(err, c.err) {
			t.Errorf("%v, want %v", err, c.err)
		}
		if code := end(ExitFailOn); code != c.code || stderr.String() != c.want {
			t.Errorf("%v: exit %d, %q", c.err, code, &stderr)
		}
	}
}
