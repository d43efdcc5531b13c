//go:build ignore

// Same compares what two builds of connrace write: see the script same.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"connrace/pcaps"
)

// runs are the command lines for each capture. Together they write every format; the first
// writes all the files, beside the table.
var runs = []struct {
	name string
	args []string
}{
	{"table", []string{"--html", "report.html", "--annotate", "annotated.pcapng", "--evidence", "evidence"}},
	{"verbose", []string{"-v"}},
	{"json", []string{"--format", "json", "--streams"}},
	{"jsonl", []string{"--format", "jsonl"}},
	{"csv", []string{"--format", "csv"}},
	{"markdown", []string{"--format", "markdown"}},
}

// other are command lines that need no capture.
var other = [][]string{{"--help"}, {"analyze", "--help"}, {"live", "--help"}, {"explain"}, {"wireshark", "--help"}}

// A job is a capture, with the flags and logs that belong to it; without a capture it is a
// command line as it stands.
type job struct {
	name, capture string
	flags, logs   []string
}

// outputs are what a run wrote: its streams, its exit status and its files, by name.
type outputs map[string][]byte

func main() {
	same, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "same:", err)
		os.Exit(2)
	}
	if !same {
		os.Exit(1)
	}
}

func run(args []string) (bool, error) {
	if len(args) < 2 {
		return false, errors.New("usage: .ci/same OLD NEW [DIR…]")
	}
	dir, err := os.MkdirTemp("", "connrace-same-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	jobs, err := jobs(dir, args[2:])
	if err != nil {
		return false, err
	}

	var mu sync.Mutex
	var wg sync.WaitGroup
	var captures, compared, empty int
	var different, failed []string
	next := make(chan job)
	for range 2 { // the machine has other things to do
		wg.Go(func() {
			for j := range next {
				old, err := j.outputs(args[0], dir)
				var fresh outputs
				if err == nil {
					fresh, err = j.outputs(args[1], dir)
				}
				mu.Lock()
				if err != nil {
					failed = append(failed, fmt.Sprintf("%s: %v", j.name, err))
				}
				if j.capture != "" {
					captures++
				}
				compared += len(old)
				if strings.HasPrefix(string(old["table: exit status"]), "exit status 2") {
					empty++
				}
				different = append(different, diff(j.name, old, fresh)...)
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()

	slices.Sort(different)
	for i, d := range different {
		if i == 50 {
			fmt.Printf("… and %d more\n", len(different)-i)
			break
		}
		fmt.Println(d)
	}
	for _, f := range failed {
		fmt.Println("not compared:", f)
	}
	verdict := "identical"
	if len(different) > 0 {
		verdict = fmt.Sprintf("%d DIFFERENT", len(different))
	}
	fmt.Printf("%d captures (%d of them unreadable), %d outputs: %s\n", captures, empty, compared, verdict)
	return len(different)+len(failed) == 0, nil
}

// jobs lists what is to be compared; what must be made for it is written to dir.
func jobs(dir string, from []string) ([]job, error) {
	var list []job
	for _, args := range other {
		list = append(list, job{name: strings.Join(args, " "), flags: args})
	}

	generated := filepath.Join(dir, "generated")
	if err := os.Mkdir(generated, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(".ci/generate", generated)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}

	scripts, err := pcaps.Corpus()
	if err != nil {
		return nil, err
	}
	for _, s := range scripts {
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, "scripts", s.Name+".pcap")
		if err := write(path, b.Bytes()); err != nil {
			return nil, err
		}
		list = append(list, job{name: "pcaps/scripts/" + s.Name, capture: path, flags: flags(s)})
	}

	pcaps, err := filepath.Abs("pcaps")
	if err != nil {
		return nil, err
	}
	for _, root := range append([]string{generated, pcaps}, from...) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !isCapture(path) {
				return err
			}
			logs, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.log"))
			if root == pcaps { // there, a capture's logs have its name
				logs, err = filepath.Glob(strings.TrimSuffix(path, filepath.Ext(path)) + ".*.log")
			}
			list = append(list, job{name: path, capture: path, logs: logs})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// isCapture leaves out what is known not to be one; names of captures have many endings.
func isCapture(path string) bool {
	switch filepath.Ext(path) {
	case ".go", ".json", ".log", ".md", ".tsv", ".txt", ".html":
		return false
	}
	return true
}

// flags are those under which the wants of a script hold.
func flags(s *pcaps.Script) (flags []string) {
	if d := s.Options.LBIdleTimeout; d != 0 {
		flags = append(flags, "--lb-idle-timeout", d.String())
	}
	for _, i := range s.Options.Targets {
		flags = append(flags, "--target", s.Hosts[i].Addr.String())
	}
	for _, i := range s.Options.LBs {
		flags = append(flags, "--lb", s.Hosts[i].Addr.Addr().String())
	}
	return flags
}

// outputs runs a binary over a capture in every format.
func (j *job) outputs(binary, dir string) (outputs, error) {
	out := outputs{}
	if j.capture == "" {
		return out, out.add("help", binary, dir, j.flags)
	}
	for _, r := range runs {
		args := slices.Concat([]string{"analyze"}, j.flags, r.args, []string{j.capture})
		if err := out.add(r.name, binary, dir, args); err != nil {
			return nil, err
		}
	}
	if len(j.logs) == 0 {
		return out, nil
	}
	args := slices.Concat([]string{"analyze", "-v", "--html", "logs.html"}, j.flags)
	for _, l := range j.logs {
		args = append(args, "--log", l)
	}
	return out, out.add("with logs", binary, dir, append(args, j.capture))
}

// add runs a binary in an empty directory of its own, and keeps all that it writes.
func (out outputs) add(name, binary, dir string, args []string) error {
	work, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = work, &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	out[name] = stdout.Bytes()
	// The addresses of a panic's trace differ from run to run.
	out[name+": stderr"], _, _ = bytes.Cut(stderr.Bytes(), []byte("\ngoroutine "))
	out[name+": exit status"] = []byte(cmd.ProcessState.String())
	return filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(work, path)
		if err != nil {
			return err
		}
		out[name+": "+rel], err = os.ReadFile(path)
		return err
	})
}

// diff says which outputs differ, each with the first lines that do.
func diff(name string, old, fresh outputs) (lines []string) {
	names := maps.Clone(old)
	maps.Copy(names, fresh)
	for n := range names {
		a, inOld := old[n]
		b, inNew := fresh[n]
		switch {
		case !inNew:
			lines = append(lines, fmt.Sprintf("%s: %s: only of the old one", name, n))
		case !inOld:
			lines = append(lines, fmt.Sprintf("%s: %s: only of the new one", name, n))
		case !bytes.Equal(a, b):
			lines = append(lines, fmt.Sprintf("%s: %s: %s", name, n, firstLines(a, b)))
		}
	}
	return lines
}

// firstLines shows where two texts begin to differ.
func firstLines(a, b []byte) string {
	at, line, begin := 0, 1, 0
	for ; at < len(a) && at < len(b) && a[at] == b[at]; at++ {
		if a[at] == '\n' {
			line, begin = line+1, at+1
		}
	}
	from := max(begin, at-40)
	return fmt.Sprintf("line %d, byte %d\n  old: %q\n  new: %q", line, at, excerpt(a, from), excerpt(b, from))
}

func excerpt(b []byte, from int) []byte {
	b = b[min(from, len(b)):]
	b = b[:min(120, len(b))]
	b, _, _ = bytes.Cut(b, []byte("\n"))
	return b
}

func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
