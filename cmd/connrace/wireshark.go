package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/text"
	"connrace/cmd/connrace/internal/wireshark"
)

func wiresharkFlags() (force *bool, fs *pflag.FlagSet) {
	fs = pflag.NewFlagSet("wireshark", pflag.ContinueOnError)
	force = fs.Bool("force", false, "overwrite files that differ")
	fs.BoolP("help", "h", false, "this text")
	return force, fs
}

func wiresharkHelp() string {
	_, fs := wiresharkFlags()
	return `Show findings in Wireshark and tshark: a Lua script with the fields connrace.rule,
connrace.role, connrace.finding, connrace.summary and more, with expert information (Analyze,
Expert Information) and with the answer in a window (Tools, connrace), and a profile
"connrace" with colouring rules, columns and filter buttons.

Usage:
  connrace wireshark install [DIR]
  connrace wireshark print [FILE]

install writes them into the user's own folders, or into DIR; print shows them, or one.

Flags:
` + fs.FlagUsages() + `
The script takes the findings from CAPTURE.connrace.json beside the capture, else it runs
connrace on it if that is on the PATH. Another file: the preference connrace.json, or the
environment CONNRACE_JSON, which is the only way on Windows.

Examples:
  connrace wireshark install
  connrace --format json x.pcap > x.pcap.connrace.json
  tshark -C connrace -r x.pcap -Y connrace.rule
  tshark -C connrace -r x.pcap -q -z expert,warn,connrace
  connrace wireshark print colorfilters
`
}

// wiresharkCommand is the command wireshark.
func wiresharkCommand(_ context.Context, e *cli.Env, args []string) int {
	force, fs := wiresharkFlags()
	if code, done := e.Parse(fs, wiresharkHelp, args, flagSets); done {
		return code
	}
	verb, rest := fs.Arg(0), fs.Args()
	if len(rest) > 0 {
		rest = rest[1:]
	}
	switch {
	case verb == "":
		return e.Usage("wireshark", "install or print?")
	case verb != "install" && verb != "print":
		return e.Usage("wireshark", "unknown command %q%s", verb, cli.Suggest(verb, []string{"install", "print"}))
	case len(rest) > 1 && verb == "install":
		return e.Usage("wireshark", "install takes one directory at most")
	case len(rest) > 1:
		return e.Usage("wireshark", "print takes one file at most")
	case len(rest) == 1 && rest[0] == "":
		return e.Usage("wireshark", "the name of a directory or file is empty")
	case verb == "install":
		return installHelpers(e, strings.Join(rest, ""), *force)
	}
	return printHelpers(e, strings.Join(rest, ""))
}

// printHelpers shows a file, "" all of them.
func printHelpers(e *cli.Env, name string) int {
	var b strings.Builder
	var names []string
	for _, f := range wireshark.Files() {
		switch {
		case name == f.Name:
			return e.Print(string(f.Content))
		case name == "":
			fmt.Fprintf(&b, "==> %s <==\n%s\n", f.Name, f.Content)
		}
		names = append(names, f.Name)
	}
	if name != "" {
		return e.Usage("wireshark", "no file %q%s; there are %s", name, cli.Suggest(name, names), strings.Join(names, ", "))
	}
	return e.Print(b.String())
}

// installHelpers writes the files into a directory, "" into the user's folders, after it
// has said which. Nothing is written where that would overwrite what it should not.
func installHelpers(e *cli.Env, dir string, force bool) int {
	folders := wireshark.In(dir)
	if dir == "" {
		home, _ := os.UserHomeDir()
		var err error
		if folders, err = wireshark.Personal(wireshark.System{
			OS: runtime.GOOS, Home: home, Getenv: os.Getenv, IsDir: func(path string) bool {
				st, err := os.Stat(path)
				return err == nil && st.IsDir()
			},
		}); err != nil {
			e.Errorf("%v: name a directory", err)
			return cli.ExitError
		}
	}
	steps, err := folders.Plan()
	if err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	differ := 0
	for i := range steps {
		s := &steps[i]
		what := s.State.String()
		if s.State == wireshark.Differs {
			differ++
			if force {
				what = "overwritten"
			}
		}
		if code := e.Print(fmt.Sprintf("%-11s  %s\n", what, text.Clean(s.Path))); code != cli.ExitOK {
			return code
		}
	}
	if differ > 0 && !force {
		e.Errorf("nothing written: %d of these files differ from connrace's; --force overwrites them", differ)
		return cli.ExitError
	}
	for i := range steps {
		if s := steps[i].State; s == wireshark.Same || s == wireshark.Kept {
			continue
		}
		if err := steps[i].Write(); err != nil {
			e.Errorf("%v", err)
			return cli.ExitError
		}
	}
	return e.Print(howToUse(dir))
}

func howToUse(dir string) string {
	if dir == "" {
		return `
Restart Wireshark and choose the profile "connrace" (at the right of the status bar), or
  tshark -C connrace -r x.pcap -Y connrace.rule
`
	}
	return fmt.Sprintf(`
To use it from there:
  WIRESHARK_CONFIG_DIR=%[1]s tshark -C connrace -X lua_script:%[2]s -r x.pcap -Y connrace.rule
(wireshark takes the same)
`, quoted(dir), quoted(filepath.Join(dir, wireshark.Script)))
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	path = text.Clean(path)
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
