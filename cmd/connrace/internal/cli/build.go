package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// What releases are built with: -ldflags '-X connrace/cmd/connrace/internal/cli.version=…'. Of
// other builds the go command says it.
var version, commit, date string

// Build says which program this is.
type Build struct {
	Version  string `json:"version"` // of the module; (devel): none
	Commit   string `json:"commit"`  // "": not known
	Date     string `json:"date"`    // of the commit
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// ReadBuild reads what was written into the program when it was built.
func ReadBuild() Build {
	info, _ := debug.ReadBuildInfo()
	b := describe(info)
	if version != "" {
		b.Version, b.Commit, b.Date = version, commit, date
	}
	return b
}

func describe(info *debug.BuildInfo) Build {
	if info == nil {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	b := Build{Version: info.Main.Version, Go: info.GoVersion, OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String says it in a line.
func (b Build) String() string {
	s := b.Version
	if b.Commit != "" {
		s += fmt.Sprintf(", commit %.12s", b.Commit)
		if b.Modified {
			s += " with changes"
		}
		if b.Date != "" {
			s += " of " + b.Date
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", s, b.Go, b.OS, b.Arch)
}
