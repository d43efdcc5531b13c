// Package clitest is for tests of the commands: what they look at in lines of JSON, the schema
// that each must fit, and the captures that they read.
package clitest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"connrace/pcaps"
)

// Line is what tests look at in a line of JSON.
type Line struct {
	Type       string
	ID         int
	Rule       string
	Severity   string
	Confidence string
	Summary    string
	Grounds    string
	Time       time.Time
	Target     string
	Lost       any
	Count      int
	File       string `json:"evidence_file"`
	Evidence   []struct {
		Frame     int
		FileFrame *int `json:"file_frame"`
		Seq, Ack  uint32
		Role      string
		Note      string
	}
	LB       string
	Measures struct {
		RSTReason  string `json:"rst_reason"`
		DropReason string `json:"drop_reason"`
		Kernel     *struct {
			Queue, QueueLimit, Listen int
			Overflows                 int `json:"listen_overflows"`
			Limit                     int `json:"queue_limit"`
		}
	}
	Process *Process
	Totals  struct {
		Frames      int
		Findings    map[string]int
		KernelDrops int `json:"kernel_drops"`
	}
	Captures []struct {
		Path, Format string
		Warnings     []string
	}
	Targets []struct {
		Listener *struct {
			MaxQueue int `json:"max_queue"`
			Limit    int `json:"queue_limit"`
			Process  *Process
		}
	}
	Forgotten []struct {
		Rule  string
		Count int
	}
}

// Process is what tests look at of a finding's process.
type Process struct {
	PID     int
	Name    string
	Command string
	Closed  string `json:"closed_by"`
	Exit    *Exit
}

// Exit is how a process ended.
type Exit struct {
	Signal, Code int
	OOM          bool
	Limit        uint64 `json:"memory_limit"`
	Killer       *Process
	Caught       *struct {
		Signal int
		From   *Process
	}
}

// Lines reads JSON lines; each must be as the schema says.
func Lines(t testing.TB, stdout string) (ls []Line) {
	t.Helper()
	for s := range strings.Lines(stdout) {
		var l Line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		ls = append(ls, l)
	}
	return ls
}

// Of are the lines of a type.
func Of(ls []Line, kind string) (out []Line) {
	for _, l := range ls {
		if l.Type == kind {
			out = append(out, l)
		}
	}
	return out
}

// EvidenceIn are the entries of a directory but for the index.
func EvidenceIn(dir string) []os.DirEntry {
	es, _ := os.ReadDir(dir)
	return slices.DeleteFunc(es, func(e os.DirEntry) bool { return e.Name() == ".connrace-index" })
}

// Readable lets tshark read a capture, and returns how many frames it has; -1: there is no
// tshark.
func Readable(t *testing.T, file string, cutOff bool) int {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		return -1
	}
	var stderr bytes.Buffer
	c := exec.Command(tshark, "-n", "-r", file, "-T", "fields", "-e", "frame.number")
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil && !(cutOff && strings.Contains(stderr.String(), "cut short")) {
		t.Errorf("tshark reads %s: %v\n%s", filepath.Base(file), err, &stderr)
	}
	return bytes.Count(out, []byte("\n"))
}

// Put writes an embedded file to a directory and returns its path.
func Put(t testing.TB, dir, name string) string {
	t.Helper()
	data, err := pcaps.File(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Validate checks that a document fits a schema.
func Validate(t *testing.T, s *jsonschema.Schema, name string, doc []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, doc)
	}
}

// Schemas are the schema of a report and of a line, made strict.
func Schemas(t *testing.T) (report, line *jsonschema.Schema) {
	t.Helper()
	f, err := os.Open(filepath.Join(root(t), "docs", "connrace-1.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	c := jsonschema.NewCompiler()
	const name = "urn:connrace:schema:1"
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile(name), c.MustCompile(name + "#/$defs/line")
}

// strict forbids keys that a schema does not list.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, object := v["properties"]; object {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			strict(x)
		}
	case []any:
		for _, x := range v {
			strict(x)
		}
	}
}

// root is the folder of the module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		t.Fatal("no go.mod above")
	}
}

// Comment is a comment of a packet.
type Comment struct {
	Frame int
	Text  string
}

// Comments reads the comments from the packets of a little-endian pcapng file.
func Comments(b []byte) (cs []Comment, err error) {
	le := binary.LittleEndian
	for frame := 0; len(b) > 0; {
		if len(b) < 12 || le.Uint32(b[4:]) > uint32(len(b)) || le.Uint32(b[4:]) < 12 {
			return nil, fmt.Errorf("damaged behind frame %d", frame)
		}
		block := b[:le.Uint32(b[4:])]
		b = b[len(block):]
		if le.Uint32(block) != 6 {
			continue
		}
		frame++
		o := block[28+(le.Uint32(block[20:])+3)&^3 : len(block)-4]
		for len(o) >= 4 {
			code, n := le.Uint16(o), le.Uint16(o[2:])
			if code == 1 {
				cs = append(cs, Comment{frame, string(o[4 : 4+n])})
			}
			o = o[4+(n+3)&^3:]
		}
	}
	return cs, nil
}
