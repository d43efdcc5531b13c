package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// packages makes a .deb and an .rpm with nfpm, whose modules are in .ci/release/nfpm.mod and
// not among the program's.
func (r *release) packages(t target, program string) error {
	root := filepath.Join(r.work, t.os+"_"+t.arch, "root")
	var list strings.Builder // of nfpm's contents
	put := func(name string, data []byte, mode os.FileMode, more string) error {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		fmt.Fprintf(&list, "  - {src: %q, dst: %q, file_info: {mode: %#o}%s}\n", path, name, mode, more)
		return os.WriteFile(path, data, mode)
	}
	copies := []struct{ from, to, more string }{
		{program, "/usr/bin/connrace", ""},
		{"deploy/connrace.service", "/usr/lib/systemd/system/connrace.service", ""},
		{".ci/release/package/default", "/etc/default/connrace", `, type: "config|noreplace"`},
		{"LICENSE", "/usr/share/doc/connrace/LICENSE", ""},
		{"NOTICE", "/usr/share/doc/connrace/NOTICE", ""},
		{"README.md", "/usr/share/doc/connrace/README.md", ""},
		{"deploy/README.md", "/usr/share/doc/connrace/deploy/README.md", ""},
		{"deploy/alerts.yml", "/usr/share/doc/connrace/deploy/alerts.yml", ""},
		{"deploy/grafana-dashboard.json", "/usr/share/doc/connrace/deploy/grafana-dashboard.json", ""},
	}
	for _, c := range copies {
		b, err := os.ReadFile(c.from)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		switch {
		case c.from == program:
			mode = 0o755
		case strings.HasSuffix(c.from, ".service"):
			b = []byte(strings.ReplaceAll(string(b), "/usr/local/bin/", "/usr/bin/"))
		}
		if err := put(c.to, b, mode, c.more); err != nil {
			return err
		}
	}
	var copyright []byte
	for _, p := range papers[:3] {
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		copyright = append(append(copyright, b...), '\n')
	}
	if err := put("/usr/share/doc/connrace/copyright", copyright, 0o644, ""); err != nil {
		return err
	}
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	if err := put("/usr/share/doc/connrace/changelog.gz", squeezed(changes), 0o644, ""); err != nil {
		return err
	}
	for _, f := range r.man {
		if err := put("/usr/share/man/man1/"+f.name+".gz", squeezed(f.data), 0o644, ""); err != nil {
			return err
		}
	}
	for _, f := range r.shell {
		shell, name, _ := strings.Cut(f.name, "/")
		switch shell {
		case "bash":
			err = put("/usr/share/bash-completion/completions/"+name, f.data, 0o644, "")
		case "fish":
			err = put("/usr/share/fish/vendor_completions.d/"+name, f.data, 0o644, "")
		case "zsh":
			if err = put("/usr/share/zsh/vendor-completions/"+name, f.data, 0o644, ", packager: deb"); err == nil {
				err = put("/usr/share/zsh/site-functions/"+name, f.data, 0o644, ", packager: rpm")
			}
		}
		if err != nil {
			return err
		}
	}
	for _, f := range r.wireshark {
		if err := put("/usr/share/connrace/wireshark/"+f.name, f.data, 0o644, ""); err != nil {
			return err
		}
	}
	config, err := os.ReadFile(".ci/release/package/nfpm.yaml")
	if err != nil {
		return err
	}
	arch := map[string]string{"arm": "arm7"}[t.arch]
	if arch == "" {
		arch = t.arch
	}
	path := filepath.Join(r.work, "nfpm.yaml")
	text := strings.NewReplacer("@ARCH@", arch, "@VERSION@", r.version, "@DATE@", r.date.Format(time.RFC3339)).Replace(string(config)) + "contents:\n" + list.String()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	for _, packager := range []string{"deb", "rpm"} {
		cmd := exec.Command("go", "tool", "-modfile=.ci/release/nfpm.mod", "nfpm", "package", "-f", path, "-p", packager, "-t",
			filepath.Join(r.dir, fmt.Sprintf("connrace_%s_%s.%s", r.version, t.arch, packager)))
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.date.Unix(), 10))
		if b, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nfpm: %w\n%s", err, b)
		}
	}
	return nil
}
