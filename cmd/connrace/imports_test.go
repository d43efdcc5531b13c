package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// within abbreviates what is of use to this command only.
const within = "connrace/cmd/connrace/internal/"

// layers say what each package may import besides the standard library, and why not more.
// Data flows one way: a stage imports only what stands before it. An allowed path includes
// the packages below it.
var layers = []struct {
	dir     string
	allowed []string
	reason  string
}{
	{"tcpstate", []string{"connrace/tcpstate/internal"}, "it is arithmetic on segments, testable without a capture"},
	{"tcpstate/internal/framing", []string{"golang.org/x/net/http2/hpack"}, "it finds messages in bytes and knows nothing of segments; names of HTTP/2 need HPACK, whose tables are not ours to write"},
	{"tcpstate/internal/slab", nil, "it asks for memory, whatever is kept there"},
	{"detect", []string{"connrace/tcpstate", "connrace/detect/internal"}, "rules read facts, not packets: they hold for files and live alike"},
	{"detect/internal/ring", nil, "it keeps values, whatever they are"},
	{"detect/internal/idle", []string{"connrace/tcpstate", "connrace/detect/internal/ring"}, "it infers timers from closes and knows no rule"},
	{"detect/internal/kernel", []string{"connrace/tcpstate", "connrace/detect/internal/ring"}, "it keeps samples of queues and knows no rule"},
	{"detect/internal/software", []string{"connrace/tcpstate"}, "it reads heads of messages, whoever sent them"},
	{"capture", []string{
		"connrace/tcpstate", "github.com/google/gopacket", "golang.org/x/sys", "golang.org/x/net/bpf",
		"github.com/klauspost/compress", "github.com/pierrec/lz4",
	}, "it turns bytes into segments and decides nothing"},
	{"pcaps", []string{"connrace/tcpstate", "github.com/google/gopacket"}, "the tests of every package import it"},
	{"cmd/pcapgen", []string{"connrace/pcaps", "connrace/tcpstate"}, "it writes captures; what is found in them is the business of its tests"},
	{"cmd/peers", nil, "it runs programs from outside"},
	{"cmd/connrace", []string{"connrace/capture", "connrace/cmd/connrace/internal", "connrace/detect", "github.com/spf13/pflag"}, "it names the commands; what they do is below"},
	{within + "text", []string{"github.com/olekukonko/tablewriter/pkg/twwidth"}, "everything may import it, so it imports nothing"},
	{within + "cli", []string{
		"connrace/detect", "connrace/tcpstate", "github.com/spf13/pflag", within + "confine", within + "outfile", within + "recorder", within + "term",
	}, "it reads flags and runs nothing"},
	{within + "term", []string{"golang.org/x/term"}, "it knows the terminal, not what is shown"},
	{within + "memory", []string{"connrace/tcpstate"}, "it counts what fits, whoever asks"},
	{within + "clitest", []string{"connrace/pcaps", "github.com/santhosh-tekuri/jsonschema/v6"}, "tests of all commands import it"},
	{within + "confine", []string{
		"golang.org/x/sys", "github.com/landlock-lsm/go-landlock", "kernel.org/pub/linux/libs/security/libcap/psx",
	}, "it gives up rights, whatever they were for"},
	{within + "pipeline", []string{
		"connrace/capture", "connrace/detect", "connrace/tcpstate", "github.com/spf13/pflag", within + "baseline", within + "cli", within + "html",
		within + "infile", within + "lblog", within + "memory", within + "outfile", within + "report", within + "term",
	}, "it leads frames to a report and knows neither files nor interfaces"},
	{within + "offline", []string{
		"connrace/capture", "connrace/detect", "connrace/tcpstate", "github.com/spf13/pflag", within + "annotate", within + "cli", within + "confine", within + "infile", within + "join",
		within + "memory", within + "outfile", within + "pipeline", within + "report", within + "term",
	}, "it reads files: nothing of an interface is known"},
	{within + "live", []string{
		"connrace/capture", "connrace/detect", "connrace/tcpstate", "github.com/spf13/pflag", within + "annotate", within + "cli", within + "confine", within + "dump", within + "infile",
		within + "lblog", within + "memory", within + "metrics", within + "otlp", within + "outfile", within + "pipeline", within + "procs", within + "recorder",
		within + "report", within + "term",
	}, "it watches an interface: no capture file is opened"},
	{within + "procs", []string{
		"connrace/capture", "connrace/detect", "connrace/tcpstate", within + "confine", within + "trace", "golang.org/x/sys",
	}, "it names processes and finds nothing by itself"},
	{within + "trace", []string{"connrace/tcpstate", "github.com/cilium/ebpf", "golang.org/x/sys"}, "it passes on what the kernel says, and joins nothing"},
	{within + "diagnosis", []string{"connrace/detect", "connrace/tcpstate"}, "the answer is worked out from findings, before anything renders it"},
	{within + "lblog", []string{"connrace/detect", "connrace/tcpstate"}, "a log is joined to findings, not to packets"},
	{within + "join", []string{"connrace/capture", "connrace/detect", "connrace/tcpstate"}, "it holds findings against captures, and renders nothing"},
	{within + "baseline", []string{"connrace/detect"}, "figures are compared, wherever they come from"},
	{within + "report", []string{
		"connrace/detect", "connrace/tcpstate", within + "baseline", within + "diagnosis", within + "join", within + "lblog", "github.com/olekukonko/tablewriter",
	}, "reports see findings and totals, never packets"},
	{within + "html", []string{
		"connrace/detect", "connrace/tcpstate", within + "baseline", within + "diagnosis", within + "lblog", within + "fill", within + "report",
	}, "reports see findings and totals, never packets"},
	{within + "fill", nil, "it fills in templates, whatever they show"},
	{within + "annotate", []string{
		"connrace/capture", "connrace/detect", "connrace/tcpstate", within + "outfile", within + "report",
	}, "it copies captures and finds nothing by itself"},
	{within + "merge", []string{"connrace/detect", "connrace/tcpstate", within + "baseline", within + "report"}, "it reads reports: no packet is left of what they are about"},
	{within + "share", []string{"connrace/capture", "connrace/tcpstate", "golang.org/x/net/http2/hpack"}, "it makes a copy from what the decoder says of each frame, and finds nothing"},
	{within + "wireshark", []string{"connrace/detect", within + "outfile"}, "Wireshark reads the packets"},
	{within + "metrics", nil, "it shows figures and does not know of what"},
	{within + "otlp", []string{
		"connrace/detect", "connrace/tcpstate", within + "metrics", within + "report", "go.opentelemetry.io/collector/pdata",
	}, "it sends what is settled"},
	{within + "recorder", []string{"connrace/capture", within + "outfile", "golang.org/x/sys"}, "it keeps packets, whatever is found in them"},
	{within + "dump", []string{"connrace/capture", within + "outfile"}, "it writes packets, whatever is found in them"},
	{within + "outfile", nil, "it writes files, whatever is in them"},
	{within + "infile", nil, "it opens files, whatever is in them"},
}

// TestImports holds every package to its row. A new package needs one: what may it import,
// and why not more?
func TestImports(t *testing.T) {
	rows := map[string]bool{}
	for _, l := range layers {
		dir := strings.TrimPrefix(l.dir, "connrace/")
		rows[dir] = true
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Error(err)
		}
		allowed := l.allowed
		if strings.HasPrefix(dir, "cmd/connrace/") {
			allowed = append([]string{within + "text"}, allowed...)
		}
		used := map[string]bool{}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, path := range imports(t, name) {
				a := among(path, allowed)
				if used[a] = true; a == "" {
					t.Errorf("%s imports %s, which %s must not: %s", name, path, dir, l.reason)
				}
			}
		}
		for _, a := range l.allowed {
			if !used[a] {
				t.Errorf("%s may import %s and does not: the row is stale", dir, a)
			}
		}
	}
	for _, dir := range packages(t) {
		if !rows[dir] {
			t.Errorf("%s has no row in layers: say what it may import, and why not more", dir)
		}
		delete(rows, dir)
	}
	for dir := range rows {
		t.Errorf("there is no package %s: its row is stale", dir)
	}
}

// TestArchitecture: docs/architecture.md has a line for each package, and the files it names
// are there.
func TestArchitecture(t *testing.T) {
	b, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		lines[m[1]] = true
	}
	for _, dir := range packages(t) {
		if !lines[dir] {
			t.Errorf("%s has no line", dir)
		}
		delete(lines, dir)
	}
	for dir := range lines {
		t.Errorf("there is no package %s", dir)
	}
	for _, m := range regexp.MustCompile("`([a-z.]+/[\\w./]+)`").FindAllStringSubmatch(string(b), -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestDependencies: docs/architecture.md says of each module that go.mod requires what it is for.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\n| module | for |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	said := map[string]bool{}
	for _, m := range regexp.MustCompile(`[a-z.]+\.[a-z]+/[\w./-]+`).FindAllStringSubmatch(table, -1) {
		said[m[0]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		if !said[m[1]] {
			t.Errorf("%s has no reason", m[1])
		}
		delete(said, m[1])
	}
	for path := range said {
		t.Errorf("%s is not required", path)
	}
}

// packages are the directories of the module that hold Go files, but for tests alone.
func packages(t *testing.T) (dirs []string) {
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch base := filepath.Base(path); {
		case err != nil:
			return err
		case d.IsDir() && (base == "testdata" || base != ".." && strings.HasPrefix(base, ".")):
			return filepath.SkipDir
		case strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go"):
			dir, err := filepath.Rel("../..", filepath.Dir(path))
			if dir = filepath.ToSlash(dir); err == nil && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// imports are the packages outside of the standard library that a file imports.
func imports(t *testing.T, name string) (paths []string) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || first == "connrace" {
			paths = append(paths, path)
		}
	}
	return paths
}

// among is which of those allowed a path is or is below; "": none.
func among(path string, allowed []string) string {
	for _, a := range allowed {
		if path == a || strings.HasPrefix(path, a+"/") {
			return a
		}
	}
	return ""
}

// Nothing is kept in one place that is neither a stage nor the command.
func TestPackages(t *testing.T) {
	bad := map[string]bool{"utils": true, "util": true, "misc": true, "common": true, "types": true, "helpers": true}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && bad[d.Name()] {
			t.Errorf("%s: a name that says nothing", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
