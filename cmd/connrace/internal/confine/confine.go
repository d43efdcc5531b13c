// Package confine lets a command give up what it does not need once all is open that needs
// it: the rights of root, the files that nobody named, system calls that it never makes.
// What it reads comes from others, and a mistake in reading must not be worth much.
package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
)

// Capability is a right of root's (capabilities(7)) with the reason to keep it.
type Capability struct {
	Name   string
	Why    string
	number uint
}

// These are all that is ever kept, and only where the reason holds. Capturing needs none
// once the socket is open: CAP_NET_RAW, and CAP_SYS_ADMIN for --netns, always go.
var (
	// SeeSockets is wanted while unix sockets are watched: a path is looked up each time,
	// for a server that is restarted makes its file anew.
	SeeSockets = Capability{"CAP_DAC_READ_SEARCH", "to see the unix sockets of --target where only others may look", 2}
	// ReadInputs is kept where an input is another user's and not readable for others.
	ReadInputs = Capability{"CAP_DAC_READ_SEARCH", "to read inputs that are another user's", 2}
	// WriteOutputs is kept where an output lies in a directory of another user.
	WriteOutputs = Capability{"CAP_DAC_OVERRIDE", "to write outputs in another user's directory", 1}
	// SeeProcesses and SeeDirectories are kept by the helper that finds out which process has a
	// socket: /proc/PID/fd is its user's, and for those who might trace it.
	SeeProcesses   = Capability{"CAP_SYS_PTRACE", "to see which process has a socket", 19}
	SeeDirectories = Capability{"CAP_DAC_READ_SEARCH", "to look into other users' /proc/PID/fd", 2}
	// LoadPrograms and LoadTracing are wanted while the kernel's events are opened, and never kept.
	LoadPrograms = Capability{"CAP_BPF", "to load programs into the kernel", 39}
	LoadTracing  = Capability{"CAP_PERFMON", "to let them read what the kernel has", 38}
	// ReplaceOutputs is kept where an output replaces another user's file in a directory
	// in which only owners may do that, such as /tmp.
	ReplaceOutputs = Capability{"CAP_FOWNER", "to replace another user's file in a sticky directory", 3}
)

// Plan says what a command will still do, and becomes what holds for it.
type Plan struct {
	User    string       // to become, a name or UID[:GID]; "": stay
	Keep    []Capability // whatever Read and Write say
	Read    []string     // files and directories that will be opened
	Write   []string     // files and directories that will be made, replaced or written to
	Beside  []string     // directories whose files may come to be opened, as far as permissions go
	Remove  []string     // files that will be removed from directories that are not written to
	Stay    bool         // for weeks: empty the bounding set, too, which without new privileges is only to be seen, and takes its time
	Look    bool         // into other processes, which Landlock would never allow: it is left out
	Connect bool         // somebody will be connected to, by name
	as      string       // whom it runs as, and with which rights
	bounds  []string     // what else holds
}

// String says in one line what was kept and what confines the process.
func (p *Plan) String() string {
	return "confined: " + strings.Join(append([]string{p.as}, p.bounds...), "; ")
}

// rights says what is kept of a set.
func rights(kept []Capability) string {
	if len(kept) == 0 {
		return "no capability"
	}
	var texts []string
	for _, c := range kept {
		texts = append(texts, c.Name+" "+c.Why)
	}
	return strings.Join(texts, ", ")
}

// with is a set with one more in it.
func with(kept []Capability, c Capability) []Capability {
	if slices.ContainsFunc(kept, func(k Capability) bool { return k.number == c.number }) {
		return kept
	}
	return append(kept, c)
}

// restricted is set once files are out of reach that permissions would allow.
var restricted atomic.Bool

// Explain says of an error that it may be this package's doing.
func Explain(err error) error {
	if err == nil || !restricted.Load() || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (since it began, connrace reaches only the files and directories that were named then, and not what took their place: begin again)", err)
}
