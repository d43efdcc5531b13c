package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/pcaps"
)

// embedded: embedded NAME FILE writes an embedded capture or log.
func embedded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: embedded NAME FILE")
	}
	data, err := pcaps.File(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

// What --log, --baseline and joined captures add to JSON is as the schema says.
func TestCompareSchema(t *testing.T) {
	report, line := clitest.Schemas(t)
	dir := t.TempDir()
	race, firewall := clitest.Put(t, dir, "nginx-node-race.pcap"), clitest.Put(t, dir, "real/nginx-node-firewall.pcap")
	before := filepath.Join(dir, "before.json")
	_, stdout, _ := after(t, t.Context(), nil, "--format", "json", race)
	if err := os.WriteFile(before, []byte(stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--log", clitest.Put(t, dir, "nginx-node-race.error.log"), "--log", clitest.Put(t, dir, "nginx-node-race.access.log"), race},
		{"--log", clitest.Put(t, dir, "real/haproxy-go-race.http.log"), "--baseline", before, clitest.Put(t, dir, "real/haproxy-go-race.pcapng")},
		{"--baseline", before, race},
		{"--log", clitest.Put(t, dir, "nginx-node-race.error.log"), "--baseline", before, firewall},
		{clitest.Put(t, dir, "real/nginx-node-nat-reset-lb.pcap"), clitest.Put(t, dir, "real/nginx-node-nat-reset-target.pcap")},
	} {
		code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, args...)...)
		if code != cli.ExitOK || stderr != "" {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
		clitest.Validate(t, report, strings.Join(args, " "), []byte(stdout))
		_, stdout, _ = after(t, t.Context(), nil, append([]string{"--format", "jsonl"}, args...)...)
		for l := range strings.Lines(stdout) {
			clitest.Validate(t, line, strings.Join(args, " "), []byte(l))
		}
	}
}

// docs/logs.md and the schema name every kind of log.
func TestLogKindsNamed(t *testing.T) {
	readme, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "takes the logs of " + lblog.Products("and") + ", plain"; !strings.Contains(strings.Join(strings.Fields(string(readme)), " "), want) {
		t.Errorf("docs/logs.md does not say: %s", want)
	}
	text, err := os.ReadFile("../../docs/connrace-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type enum struct{ Enum []any }
	var schema struct {
		Defs struct {
			Log struct {
				Properties struct {
					Kind  enum
					Files struct {
						Items struct{ Properties struct{ Kind enum } }
					}
				}
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	p := schema.Defs.Log.Properties
	for _, name := range lblog.KindNames() {
		if family := lblog.ParseKind(name).Family(); family != "" && !slices.Contains(p.Kind.Enum, any(family)) {
			t.Errorf("the schema does not name the family %s", family)
		}
		if !slices.Contains(p.Files.Items.Properties.Kind.Enum, any(name)) {
			t.Errorf("the schema does not name the kind %s", name)
		}
	}
}

// CSV and Markdown are well-formed for all scripts.
func TestFormatsOfCorpus(t *testing.T) {
	for name, b := range scriptCaptures(t) {
		var r struct{ Findings []struct{} }
		_, stdout, _ := after(t, t.Context(), bytes.NewReader(b), "--format", "json", "-")
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"csv", "markdown"} {
			code, stdout, stderr := after(t, t.Context(), bytes.NewReader(b), "-v", "--format", format, "-")
			if how, rest, _ := strings.Cut(stderr, "\n"); code != cli.ExitOK || !strings.HasPrefix(how, "connrace: -: read ") || rest != "" {
				t.Errorf("%s: exit %d: %s", name, code, stderr)
			}
			if format == "csv" {
				rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
				if err != nil || len(rows) != 1+len(r.Findings) {
					t.Errorf("%s: %d rows for %d findings, %v", name, len(rows), len(r.Findings), err)
				}
				continue
			}
			if (strings.Count(stdout, "```text\n")+strings.Count(stdout, "```sh\n"))*2 != strings.Count(stdout, "```") || strings.Contains(stdout, "\n\n\n") {
				t.Errorf("%s:\n%s", name, stdout)
			}
		}
	}
}
