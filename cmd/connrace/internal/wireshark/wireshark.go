// Package wireshark holds what makes Wireshark show findings: a Lua script that has them
// as fields, expert information and an answer in a window, and a profile with colouring rules, columns and filter buttons.
package wireshark

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"connrace/cmd/connrace/internal/outfile"
	"connrace/detect"
)

//go:embed files
var files embed.FS

// Profile is the name of the profile.
const Profile = "connrace"

// Script is the name of the Lua script.
const Script = "connrace.lua"

// File is one of the files.
type File struct {
	Name    string
	Content []byte
	Initial bool // Wireshark goes on to write it: what is there stays
}

// Files are all of them: the script, then those of the profile.
func Files() []File {
	return []File{
		{Name: Script, Content: script()},
		{Name: "colorfilters", Content: embedded("colorfilters")},
		{Name: "preferences", Content: embedded("preferences")},
		{Name: "recent", Content: embedded("recent"), Initial: true},
		{Name: "dfilter_buttons", Content: buttons()},
	}
}

func embedded(name string) []byte {
	b, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return b
}

// script is one file, for Wireshark loads all that it finds, in no order: the rules, then the
// parts by their numbers.
func script() []byte {
	var b bytes.Buffer
	b.WriteString("-- Written by connrace wireshark.\n\nlocal rules = {\n")
	for _, r := range detect.Rules {
		fmt.Fprintf(&b, "\t{ id = %q, title = %q, severities = {", r.ID, r.Title)
		for s := r.Mildest; s <= r.Severity; s++ {
			fmt.Fprintf(&b, " %q,", s)
		}
		b.WriteString(" } },\n")
	}
	b.WriteString("}\n")
	parts, err := files.ReadDir("files/lua")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, p := range parts {
		b.WriteByte('\n')
		b.Write(embedded("lua/" + p.Name()))
	}
	return b.Bytes()
}

// buttons are the filter buttons: for the findings of captures and for the comments of
// annotated copies.
func buttons() []byte {
	var b bytes.Buffer
	b.WriteString("# The buttons beside the display filter. They select evidence, also in annotated copies.\n")
	add := func(label, filter, comment string) {
		fmt.Fprintf(&b, "\"TRUE\",%s,%s,%s\n", quote(label), quote(filter), quote(comment))
	}
	add("Findings", `connrace.finding || frame.comment contains "connrace "`, "the evidence of all findings")
	add("Errors", `connrace.severity == "error"`, "the evidence of findings that are errors")
	for _, r := range detect.Rules {
		add("Rules//"+r.ID, fmt.Sprintf(`connrace.rule == "%s" || frame.comment contains "connrace %[1]s #"`, r.ID), r.Title)
	}
	return b.Bytes()
}

// quote writes a string as Wireshark's tables (epan/uat.c) have it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\x22`, `\`, `\x5c`, "\n", " ").Replace(s) + `"`
}

// Folders are where Wireshark looks for files of the user.
type Folders struct{ Plugins, Config string }

// In are the folders for an installation that is kept in a directory of its own: the
// script in it, the profile below it, as WIRESHARK_CONFIG_DIR takes it.
func In(dir string) Folders { return Folders{dir, dir} }

// System is what the folders depend on.
type System struct {
	OS     string // runtime.GOOS
	Home   string // "": not known
	Getenv func(string) string
	IsDir  func(string) bool
}

// Personal are the user's own folders as Wireshark finds them (wsutil/filesystem.c:
// get_persconffile_dir_no_profile, init_plugin_pers_dir; "tshark -G folders" shows them).
func Personal(s System) (f Folders, err error) {
	join := filepath.Join
	config := s.Getenv("WIRESHARK_CONFIG_DIR")
	if s.OS == "windows" {
		switch {
		case config != "":
		case s.Getenv("WIRESHARK_APPDATA") != "":
			config = s.Getenv("WIRESHARK_APPDATA")
		case s.Getenv("APPDATA") != "":
			config = join(s.Getenv("APPDATA"), "Wireshark")
		case s.Getenv("USERPROFILE") != "":
			config = join(s.Getenv("USERPROFILE"), "Application Data", "Wireshark")
		default:
			return f, errors.New("APPDATA is not set")
		}
		return Folders{join(config, "plugins"), config}, nil
	}
	if s.Home == "" {
		return f, errors.New("the home directory is not known")
	}
	f.Plugins = join(s.Home, ".local", "lib", "wireshark", "plugins")
	if config == "" {
		base := s.Getenv("XDG_CONFIG_HOME")
		if base == "" {
			base = join(s.Home, ".config")
		}
		config = join(base, "wireshark")
		if old := join(s.Home, ".wireshark"); !s.IsDir(config) && s.IsDir(old) {
			config = old
		}
	}
	f.Config = config
	return f, nil
}

// State is how a file of an installation compares with what is there.
type State uint8

// The states.
const (
	New State = iota
	Same
	Kept // it may differ, and stays as it is
	Differs
)

func (s State) String() string { return [...]string{"new", "unchanged", "kept", "differs"}[s] }

// Step is the installation of a file.
type Step struct {
	File
	Path  string
	State State
}

// Plan compares the files with what is in the folders.
func (f Folders) Plan() ([]Step, error) {
	var steps []Step
	for _, x := range Files() {
		path := filepath.Join(f.Config, "profiles", Profile, x.Name)
		if x.Name == Script {
			path = filepath.Join(f.Plugins, x.Name)
		}
		s := Step{File: x, Path: path}
		switch b, err := os.ReadFile(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case bytes.Equal(b, x.Content):
			s.State = Same
		case x.Initial:
			s.State = Kept
		default:
			s.State = Differs
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// Write writes the file of a step.
func (s *Step) Write() error {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return err
	}
	out, err := outfile.Create(s.Path, outfile.Readable)
	if err != nil {
		return err
	}
	defer out.Discard()
	if _, err := out.Write(s.Content); err != nil {
		return err
	}
	return out.Commit()
}
