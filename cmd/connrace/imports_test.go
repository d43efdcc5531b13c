package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers say what each package may import besides the standard library. Data flows one
// way: a stage imports only what stands before it.
var layers = []struct {
	dir     string
	allowed []string
	reason  string
}{
	{"tcpstate", []string{"connrace/tcpstate/internal/framing"}, "it is arithmetic on segments, testable without a capture"},
	{"tcpstate/internal/framing", nil, "it sees octets of two sides, and no TCP"},
	{"detect", []string{"connrace/tcpstate"}, "rules read facts, not packets: they hold for files and live alike"},
	{"capture", []string{
		"connrace/tcpstate", "github.com/google/gopacket", "golang.org/x/sys", "golang.org/x/net/bpf", "github.com/prometheus/procfs",
		"github.com/klauspost/compress", "github.com/pierrec/lz4",
	}, "it turns bytes into segments and decides nothing"},
	{"pcaps", []string{"connrace/tcpstate", "github.com/google/gopacket"}, "every package's tests import it"},
	{"cmd/connrace/internal/lblog", []string{"connrace/detect", "connrace/tcpstate"}, "a log is joined to findings, not to packets"},
	{"cmd/connrace/internal/baseline", []string{"connrace/detect"}, "figures are compared, wherever they come from; a rule says what they are of"},
	{"cmd/connrace/internal/text", []string{"github.com/olekukonko/tablewriter"}, "it writes figures and words, whatever they are of"},
	{"cmd/connrace/internal/diagnosis", []string{
		"connrace/cmd/connrace/internal/text", "connrace/detect", "connrace/tcpstate",
	}, "it works out the answer from findings; how that is shown is for others"},
	{"cmd/connrace/internal/report", []string{
		"connrace/cmd/connrace/internal/baseline", "connrace/cmd/connrace/internal/diagnosis", "connrace/cmd/connrace/internal/lblog",
		"connrace/cmd/connrace/internal/text", "connrace/detect", "connrace/tcpstate", "github.com/olekukonko/tablewriter",
	}, "reports see findings and totals, never packets"},
	{"cmd/connrace/internal/metrics", []string{"github.com/prometheus/client_golang"}, "it shows figures and does not know what they are of"},
	{"cmd/connrace/internal/otlp", []string{
		"connrace/cmd/connrace/internal/metrics", "connrace/cmd/connrace/internal/text", "connrace/detect", "connrace/tcpstate",
		"go.opentelemetry.io/otel",
	}, "it sends what is settled"},
	{"cmd/connrace", []string{
		"connrace", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/sys",
	}, "packets are capture's affair, tables are report's"},
}

func TestImports(t *testing.T) {
	for _, l := range layers {
		files, err := filepath.Glob(filepath.Join("../..", l.dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files, %v", l.dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, path := range imports(t, name) {
				if !within(path, l.allowed) {
					t.Errorf("%s imports %s: not in %s, for %s", name, path, l.dir, l.reason)
				}
			}
		}
	}
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

func within(path string, allowed []string) bool {
	for _, a := range allowed {
		if path == a || strings.HasPrefix(path, a+"/") {
			return true
		}
	}
	return false
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
