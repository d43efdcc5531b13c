package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"connrace/pcaps"
)

// TestCommandsShown runs every command of connrace and tshark that the README and docs show, in a
// directory with the files that they name, and lets tcpdump read the filters.
func TestCommandsShown(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("they are for a shell")
	}
	dir := t.TempDir()
	prepareShown(t, dir)
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran, seen := 0, map[string]bool{}
	for _, file := range append(files, "../../README.md") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandsIn(string(b)) {
			if seen[line] {
				continue
			}
			seen[line] = true
			command, why := runnable(line)
			if why != "" {
				t.Logf("%s: %s: not run: %s", filepath.Base(file), line, why)
				continue
			}
			ran++
			c := exec.CommandContext(t.Context(), "sh", "-c", command)
			c.Dir, c.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "GORACE=atexit_sleep_ms=0")
			var errs bytes.Buffer
			c.Stderr = &errs
			if _, err := c.Output(); err != nil {
				t.Errorf("%s: %s: %v: %s", filepath.Base(file), line, err, errs.String())
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were run", ran)
	}
}

// prepareShown makes the files that commands name.
func prepareShown(t *testing.T, dir string) {
	t.Helper()
	for name, of := range map[string]string{
		"x.pcap": "nginx-node-race.pcap", "after.pcap": "real/nginx-node-race-lb.pcap", "error.log": "nginx-node-race.error.log",
		"lb.pcap": "real/haproxy-node-path-lb.pcap", "target.pcap": "real/haproxy-node-path-target.pcap",
	} {
		b, err := pcaps.File(of)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, capture := range map[string]string{"before.json": "x.pcap", "other.json": "after.pcap"} {
		_, report, _ := after(t, t.Context(), nil, "-q", "--format", "json", filepath.Join(dir, capture))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(report), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// commandsIn are the commands in a document's blocks of code that have no other language.
func commandsIn(doc string) (lines []string) {
	for _, block := range regexp.MustCompile("(?ms)^```\n(.*?)^```").FindAllStringSubmatch(doc, -1) {
		for line := range strings.Lines(block[1]) { // those of output are indented
			line = strings.TrimSuffix(line, "\n")
			for _, name := range []string{"connrace ", "tshark ", "tcpdump ", "ssh ", "go run ./cmd/connrace "} {
				if strings.HasPrefix(line, name) && !strings.Contains(line, "[flags]") {
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}

// runnable is a command as it can be run in a test; why not, if it cannot.
func runnable(line string) (command, why string) {
	has := func(name string) bool { _, err := exec.LookPath(name); return err == nil }
	switch {
	case regexp.MustCompile(`(IN OUT|REPORT\.json\.\.\.|\[[A-Z]+\]|version)$|  `).MatchString(line) && !strings.Contains(line, "  #"):
		return "", "it shows the form"
	case strings.HasPrefix(line, "go run ./cmd/connrace "):
		return "", "TestREADMEOutput does"
	case strings.HasPrefix(line, "ssh "):
		if _, after, ok := strings.Cut(line, "| "); ok {
			return "cat x.pcap | " + after, ""
		}
		return "", "there is no other host"
	case strings.HasPrefix(line, "tcpdump "):
		if !has("tcpdump") {
			return "", "there is no tcpdump"
		}
		if command = strings.Replace(line, "tcpdump -ni any ", "tcpdump -y EN10MB -d ", 1); command == line {
			return "", "it would capture"
		}
		return command, ""
	case strings.HasPrefix(line, "connrace live "):
		if runtime.GOOS != "linux" || os.Geteuid() != 0 {
			return "", "it needs Linux and root"
		}
		line, _, _ = strings.Cut(line, "  #")
		line = strings.NewReplacer("-i eth0", "-i lo", "10.0.0.5:9502", "127.0.0.1:0", "http://collector:4318", "http://127.0.0.1:9").Replace(line)
		return line + " --duration 300ms -q", ""
	case strings.HasPrefix(line, "tshark "):
		if !has("tshark") {
			return "", "there is no tshark"
		}
		return "connrace wireshark install && " + line, ""
	}
	return line, ""
}

// The links of the README and docs lead somewhere.
func TestLinksShown(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../deploy/README.md") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		if n := strings.Count(string(b), "\n"); filepath.Base(file) == "README.md" && filepath.Dir(file) == "../.." && n > 150 {
			t.Errorf("the README has %d lines: what is long belongs into docs", n)
		}
	}
}
