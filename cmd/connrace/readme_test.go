package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestREADMEOutput holds the output that the README shows against what the command in
// it prints. UPDATE=1 writes it.
func TestREADMEOutput(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- output -->\n", "<!-- /output -->\n"
	var out, diag bytes.Buffer
	if code := run(t.Context(), []string{"../../pcaps/crowder.pcap"}, strings.NewReader(""), &out, &diag); code != 0 {
		t.Fatalf("exit %d: %s", code, diag.String())
	}
	want := begin + "```\n" + strings.ReplaceAll(out.String(), "../../pcaps/", "pcaps/") + "```\n" + end
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	i, j := strings.Index(readme, begin), strings.Index(readme, end)
	if i < 0 || j < i {
		t.Fatal("the README has no place for the output")
	}
	j += len(end)
	if readme[i:j] == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the README shows another output than the command prints (UPDATE=1 writes it):\n%s", want)
	}
	if err := os.WriteFile(path, []byte(readme[:i]+want+readme[j:]), 0o644); err != nil {
		t.Fatal(err)
	}
}
