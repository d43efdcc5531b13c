package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"connrace/detect"
)

// Nobody outside of package detect asks which rule a finding is of: what differs from rule to
// rule is a trait in the rule's own file. cmd/pcapgen names scripts; what is in .ci and cmd/peers
// holds findings against what others say, and is no part of the program.
func TestNobodyNamesRules(t *testing.T) {
	vars := regexp.MustCompile(`(?m)^var (\w+) = &Rule\{`)
	var names []string
	for _, r := range detect.Rules {
		names = append(names, `"`+r.ID+`"`)
		b, err := os.ReadFile("../../detect/" + strings.ReplaceAll(r.ID, "-", "_") + ".go")
		m := vars.FindSubmatch(b)
		if err != nil || m == nil {
			t.Fatalf("%s: no file with its variable: %v", r.ID, err)
		}
		names = append(names, `detect\.`+string(m[1])+`\b`)
	}
	named := regexp.MustCompile(strings.Join(names, "|"))
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.Contains(path, "/detect/") || strings.Contains(path, "/pcapgen/") || strings.Contains(path, "/.ci/") || strings.Contains(path, "/peers/") {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, m := range named.FindAll(b, -1) {
			t.Errorf("%s names %s: make what it asks a trait of detect.Rule", path, m)
		}
		return err
	})
	if err != nil || files < 50 {
		t.Errorf("%d files, %v", files, err)
	}
}
