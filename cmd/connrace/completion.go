package main

import (
	"cmp"
	"context"
	_ "embed"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/live"
	"connrace/cmd/connrace/internal/offline"
	"connrace/cmd/connrace/internal/wireshark"
	"connrace/detect"
)

// follows is what may follow a command's name.
type follows struct {
	flags    func() *pflag.FlagSet
	operands func(before []string) offer
}

// following says of each command what may follow it.
func following() map[string]follows {
	return map[string]follows{
		"analyze":    {flagsOf(offline.NewFlags), anyFile},
		"live":       {flagsOf(live.NewFlags), nothing},
		"explain":    {explainFlagSet, explainOperands},
		"merge":      {flagsOf(newMergeFlags), anyFile},
		"share":      {flagsOf(newShareFlags), anyFile},
		"wireshark":  {flagsOf(wiresharkFlags), wiresharkOperands},
		"completion": {noFlags("completion"), completionOperands},
		"version":    {flagsOf(versionFlags), nothing},
	}
}

// flagsOf leaves the flags' values out of what makes them.
func flagsOf[T any](values func() (T, *pflag.FlagSet)) func() *pflag.FlagSet {
	return func() *pflag.FlagSet {
		_, fs := values()
		return fs
	}
}

// noFlags are the flags of a command that has none.
func noFlags(name string) func() *pflag.FlagSet {
	return func() *pflag.FlagSet {
		fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
		fs.BoolP("help", "h", false, "this text")
		return fs
	}
}

// flagSets are the flags of all commands.
func flagSets() (all []*pflag.FlagSet) {
	after := following()
	for _, c := range commands() {
		if f, ok := after[c.name]; ok {
			all = append(all, f.flags())
		}
	}
	return all
}

// completeCommand is what shells call to complete a command line, with its words, the last of
// them the one to be completed. It is in no help.
const completeCommand = "__complete"

// The scripts know nothing of connrace but completeCommand.
var (
	//go:embed completion/connrace.bash
	bashScript string
	//go:embed completion/connrace.zsh
	zshScript string
	//go:embed completion/connrace.fish
	fishScript string
	//go:embed completion/connrace.ps1
	powershellScript string
)

var shells = []struct{ name, script, use string }{
	{"bash", bashScript, `source <(connrace completion bash)`},
	{"zsh", zshScript, `source <(connrace completion zsh)`},
	{"fish", fishScript, `connrace completion fish | source`},
	{"powershell", powershellScript, `connrace completion powershell | Out-String | Invoke-Expression`},
}

func completionHelp() string {
	var b strings.Builder
	for _, s := range shells {
		b.WriteString("  " + s.use + "\n")
	}
	return `Print what a shell needs to complete connrace's commands, flags, rules, formats, interfaces,
kinds of logs, and names of servers and load balancers.

Usage:
  connrace completion bash|zsh|fish|powershell

Flags:
` + noFlags("completion")().FlagUsages() + `
The packages for Debian and Red Hat install it. Without them, in the shell's own file of
settings:

Examples:
` + b.String()
}

// completionCommand is the command.
func completionCommand(_ context.Context, e *cli.Env, args []string) int {
	fs := noFlags("completion")()
	if code, done := e.Parse(fs, completionHelp, args, flagSets); done {
		return code
	}
	if fs.NArg() != 1 {
		return e.Usage("completion", "name one shell: %s", strings.Join(shellNames(), ", "))
	}
	for _, s := range shells {
		if s.name == fs.Arg(0) {
			return e.Print(s.script)
		}
	}
	return e.Usage("completion", "unknown shell %q%s; known are %s", fs.Arg(0), cli.Suggest(fs.Arg(0), shellNames()), strings.Join(shellNames(), ", "))
}

func shellNames() (names []string) {
	for _, s := range shells {
		names = append(names, s.name)
	}
	return names
}

// offer is what a word may be.
type offer struct {
	words []word
	paths string // "files" or "dirs": or one of these, which the shell knows
}

// word is one, with what it means, which may be "".
type word struct{ text, means string }

// String is the offer as the scripts read it: in each line a word, a tab, what it means. The
// last is a colon and paths.
func (o offer) String() string {
	var b strings.Builder
	for _, w := range o.words {
		b.WriteString(w.text + "\t" + w.means + "\n")
	}
	return b.String() + ":" + o.paths + "\n"
}

func words(texts ...string) (o offer) {
	for _, t := range texts {
		o.words = append(o.words, word{text: t})
	}
	return o
}

// complete is what the last of the words of a command line may become.
func complete(line []string) offer {
	if len(line) == 0 {
		line = []string{""}
	}
	before, last := line[:len(line)-1], line[len(line)-1]
	var o offer
	prefix := "" // of last, which is not part of a word
	f, rest := commandOf(before)
	fs := f.flags()
	operands, waiting := split(fs, rest)
	name, _, given := strings.Cut(last, "=")
	switch {
	case slices.Equal(before, []string{"help"}):
		o = commandNames()
	case waiting != nil:
		o = valuesOf(waiting)
	case given && strings.HasPrefix(last, "--") && fs.Lookup(name[2:]) != nil:
		o, prefix = valuesOf(fs.Lookup(name[2:])), name+"="
	case strings.HasPrefix(last, "-") && last != "-":
		o = flagNames(fs)
	default:
		o = f.operands(operands)
		if len(before) == 0 {
			o.words = commandNames().words
		}
	}
	for i := range o.words {
		o.words[i].text = prefix + o.words[i].text
	}
	o.words = slices.DeleteFunc(o.words, func(w word) bool { return !strings.HasPrefix(w.text, last) })
	return o
}

// commandOf is what may follow the command of a line, and what does. A line that names none is
// analyze's.
func commandOf(line []string) (follows, []string) {
	all := following()
	if len(line) > 0 {
		if f, ok := all[line[0]]; ok {
			return f, line[1:]
		}
	}
	return all["analyze"], line
}

func commandNames() (o offer) {
	for _, c := range commands() {
		o.words = append(o.words, word{c.name, c.short})
	}
	return o
}

// split separates operands from flags. waiting is the flag whose value comes next; nil: none.
func split(fs *pflag.FlagSet, line []string) (operands []string, waiting *pflag.Flag) {
	for _, w := range line {
		switch {
		case waiting != nil:
			waiting = nil
		case !strings.HasPrefix(w, "-") || w == "-":
			operands = append(operands, w)
		case strings.HasPrefix(w, "--"):
			waiting = fs.Lookup(w[2:]) // nil where it has a value behind "="
		case len(w) == 2:
			waiting = fs.ShorthandLookup(w[1:])
		}
		if waiting != nil && waiting.NoOptDefVal != "" {
			waiting = nil // it takes none
		}
	}
	return operands, waiting
}

func flagNames(fs *pflag.FlagSet) (o offer) {
	fs.VisitAll(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		usage, _, _ = strings.Cut(usage, "\n")
		if o.words = append(o.words, word{"--" + f.Name, usage}); f.Shorthand != "" {
			o.words = append(o.words, word{"-" + f.Shorthand, usage})
		}
	})
	return o
}

// valuesOf are those that a flag can have.
func valuesOf(f *pflag.Flag) offer {
	switch v := f.Value.(type) {
	case *cli.Choice:
		return words(v.Of...)
	case cli.Rules:
		return rules()
	}
	kind, _ := pflag.UnquoteUsage(f)
	switch {
	case f.Name == "interface":
		return interfaces()
	case f.Name == "server":
		return short(detect.ServerNames())
	case f.Name == "lb" && kind == "NAME":
		return short(detect.LBNames())
	case kind == "FILE":
		return anyFile(nil)
	case kind == "DIR":
		return offer{paths: "dirs"}
	}
	return offer{}
}

func interfaces() offer {
	names := []string{"any"}
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return words(names...)
}

func rules() (o offer) {
	for _, r := range detect.Rules {
		o.words = append(o.words, word{r.ID, ""})
	}
	return o
}

// short are names without what a shell would want quoted; they are known without it, too.
func short(names []string) (o offer) {
	for _, n := range names {
		s := strings.Map(func(c rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", c) {
				return c
			}
			return -1
		}, strings.ToLower(n))
		o.words = append(o.words, word{s, n})
	}
	slices.SortFunc(o.words, func(a, b word) int { return cmp.Compare(a.text, b.text) })
	return o
}

func anyFile([]string) offer { return offer{paths: "files"} }
func nothing([]string) offer { return offer{} }

func explainFlagSet() *pflag.FlagSet {
	_, _, fs := explainFlags()
	return fs
}

func explainOperands(before []string) (o offer) {
	if len(before) == 0 {
		o = rules()
		o.words = append(o.words, words(detect.CauseIDs()...).words...)
	}
	return o
}

func wiresharkOperands(before []string) offer {
	switch {
	case len(before) == 0:
		return words("install", "print")
	case len(before) == 1 && before[0] == "install":
		return offer{paths: "dirs"}
	case len(before) == 1 && before[0] == "print":
		var names []string
		for _, f := range wireshark.Files() {
			names = append(names, f.Name)
		}
		return words(names...)
	}
	return offer{}
}

func completionOperands(before []string) (o offer) {
	if len(before) == 0 {
		o = words(shellNames()...)
	}
	return o
}
