package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"connrace": main, "connrace-measured": measured, "connrace-worker": worker})
}

// The files in testdata are run against the program as it is.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // under -race each run would wait for a second
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pcap":     writePCAP,
			"truncate": truncate,
			"damage":   damage,
			"gzip":     compress,
			"exit":     exit,
			"count":    count,
			"width":    width,
			"comments": comments,
			"ls":       list,
			"embedded": embedded,
		},
	})
}

// writePCAP: pcap SCRIPT FILE [ng] [moved=lb|target] [from=N] [to=N] [after=DURATION] writes the frames N to
// N of a script of the corpus, nearer to an end, later by a duration.
func writePCAP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pcap SCRIPT FILE [ng] [moved=lb|target] [from=N] [to=N] [after=DURATION]")
	}
	s, err := pcaps.Load(args[0])
	ts.Check(err)
	s = s.Clone()
	from, to := 1, 1<<30
	var format pcaps.FileFormat
	for _, a := range args[2:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "ng":
			format.NG = true
		case "from":
			from, err = strconv.Atoi(value)
		case "to":
			to, err = strconv.Atoi(value)
		case "moved":
			s = s.Moved(value == "target")
		case "after":
			var d time.Duration
			d, err = time.ParseDuration(value)
			s.Capture.Start = s.Capture.Start.Add(d)
		default:
			ts.Fatalf("pcap: what is %s?", a)
		}
		ts.Check(err)
	}
	if from > 1 || to < 1<<30 {
		s = s.Select(func(frame int) bool { return frame >= from && frame <= to })
	}
	var b bytes.Buffer
	ts.Check(s.WritePCAP(&b, format))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o644))
}

// truncate: truncate FILE N cuts N bytes off.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b[:len(b)-n]), 0o644))
}

// damage: damage FILE OFFSET N overwrites N bytes.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b := []byte(ts.ReadFile(args[0]))
	copy(b[at:], bytes.Repeat([]byte{0xff}, n))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// compress: gzip FILE replaces it by FILE.gz.
func compress(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".gz"), b.Bytes(), 0o644))
	ts.Check(os.Remove(ts.MkAbs(args[0])))
}

// exit: exit CODE COMMAND ARG... runs a command that ends with that status.
func exit(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit status %s, want %s\n%s%s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// count: count N KEY counts the elements of an array of the JSON object in stdout.
func count(ts *testscript.TestScript, _ bool, args []string) {
	var doc map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	var list []json.RawMessage
	ts.Check(json.Unmarshal(doc[args[1]], &list))
	if got := strconv.Itoa(len(list)); got != args[0] {
		ts.Fatalf("%s has %s elements, want %s", args[1], got, args[0])
	}
}

// width: no line of stdout has more than 100 characters.
func width(ts *testscript.TestScript, _ bool, _ []string) {
	for l := range strings.Lines(ts.ReadFile("stdout")) {
		if n := len([]rune(strings.TrimSuffix(l, "\n"))); n > 100 {
			ts.Fatalf("%d columns: %s", n, l)
		}
	}
}

// comments: comments FILE FRAME... lists to stdout the comments that a capture has on its
// frames: on those and no others, or * for any.
func comments(ts *testscript.TestScript, _ bool, args []string) {
	texts, err := clitest.Comments([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	var frames []string
	out := ""
	for _, c := range texts {
		n := strconv.Itoa(c.Frame)
		if len(frames) == 0 || frames[len(frames)-1] != n {
			frames = append(frames, n)
		}
		out += n + ": " + c.Text + "\n"
	}
	fmt.Fprint(ts.Stdout(), out)
	if want := args[1:]; !slices.Equal(frames, want) && !slices.Equal(want, []string{"*"}) || len(frames) == 0 && len(want) > 0 {
		ts.Fatalf("comments on %v, want %v", frames, want)
	}
}

// list: ls DIR NAME... asserts what is in a directory.
func list(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, args[1:]) {
		ts.Fatalf("%s has %v, want %v", args[0], names, args[1:])
	}
}
