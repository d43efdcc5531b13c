package wireshark

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"connrace/detect"
)

func TestPersonal(t *testing.T) {
	if filepath.Separator != '/' {
		t.Skip("the paths in the table have slashes")
	}
	for _, x := range []struct {
		os, home, env, dirs string
		plugins, config     string
	}{
		{"linux", "/home/u", "", "", "/home/u/.local/lib/wireshark/plugins", "/home/u/.config/wireshark"},
		{"linux", "/home/u", "", "/home/u/.wireshark", "/home/u/.local/lib/wireshark/plugins", "/home/u/.wireshark"},
		{"linux", "/home/u", "", "/home/u/.wireshark /home/u/.config/wireshark", "/home/u/.local/lib/wireshark/plugins", "/home/u/.config/wireshark"},
		{"linux", "/home/u", "XDG_CONFIG_HOME=/xdg", "", "/home/u/.local/lib/wireshark/plugins", "/xdg/wireshark"},
		{"darwin", "/Users/u", "XDG_CONFIG_HOME=/xdg WIRESHARK_CONFIG_DIR=/ws", "", "/Users/u/.local/lib/wireshark/plugins", "/ws"},
		{"linux", "", "WIRESHARK_CONFIG_DIR=/ws", "", "", ""},
		{"windows", "", "APPDATA=/a USERPROFILE=/u", "", "/a/Wireshark/plugins", "/a/Wireshark"},
		{"windows", "", "USERPROFILE=/u", "", "/u/Application Data/Wireshark/plugins", "/u/Application Data/Wireshark"},
		{"windows", "", "APPDATA=/a WIRESHARK_APPDATA=/w", "", "/w/plugins", "/w"},
		{"windows", "", "APPDATA=/a WIRESHARK_APPDATA=/w WIRESHARK_CONFIG_DIR=/c", "", "/c/plugins", "/c"},
		{"windows", "", "", "", "", ""},
	} {
		env := map[string]string{}
		for _, kv := range strings.Fields(x.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		f, err := Personal(System{
			OS: x.os, Home: x.home, Getenv: func(k string) string { return env[k] },
			IsDir: func(p string) bool { return strings.Contains(" "+x.dirs+" ", " "+p+" ") },
		})
		if f.Plugins != x.plugins || f.Config != x.config || (err == nil) != (x.config != "") {
			t.Errorf("%+v: %+v, %v", x, f, err)
		}
	}
}

func TestPlan(t *testing.T) {
	f := In(t.TempDir())
	states := func() (s string) {
		steps, err := f.Plan()
		if err != nil {
			t.Fatal(err)
		}
		for i := range steps {
			s += steps[i].State.String() + " "
		}
		return s
	}
	if got := states(); got != "new new new new new " {
		t.Error(got)
	}
	steps, _ := f.Plan()
	for i := range steps {
		if err := steps[i].Write(); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{2, 3} {
		if err := os.WriteFile(steps[i].Path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(); got != "unchanged unchanged differs kept unchanged " {
		t.Error(got)
	}
	if steps[2].Path != filepath.Join(f.Config, "profiles", "connrace", "preferences") || steps[0].Path != filepath.Join(f.Plugins, "connrace.lua") {
		t.Errorf("%s, %s", steps[0].Path, steps[2].Path)
	}
	if err := os.RemoveAll(f.Config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := steps[0].Write(); err == nil {
		t.Error("wrote below a file")
	}
}

// TestTables checks the form of what Wireshark reads line by line.
func TestTables(t *testing.T) {
	forms := map[string]*regexp.Regexp{
		"colorfilters":    regexp.MustCompile(`^@[^@]+@[^@]+@\[\d+,\d+,\d+\]\[\d+,\d+,\d+\]$`),
		"dfilter_buttons": regexp.MustCompile(`^"TRUE","[^"]+","[^"]+","[^"]*"$`),
	}
	for _, f := range Files() {
		form := forms[f.Name]
		if form == nil {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(f.Content), "\n"), "\n")
		for _, l := range lines[1:] {
			if !form.MatchString(l) {
				t.Errorf("%s: %s", f.Name, l)
			}
		}
		if f.Name == "dfilter_buttons" {
			for _, r := range detect.Rules {
				if !strings.Contains(string(f.Content), `"Rules//`+r.ID+`"`) {
					t.Errorf("no button for %s", r.ID)
				}
			}
		}
	}
}
