package procs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unique"

	"connrace/detect"
)

// process is a process that had to do with a watched socket.
type process struct {
	detect.Process
	parent int
	groups string    // its cgroups, as /proc/PID/cgroup has them
	start  uint64    // when it began, in clock ticks since the host did: tells it from others of its number
	gone   int64     // when it was seen to be gone, where how it ended is not known; 0: it was not
	there  time.Time // when it was seen to be there last
}

// isAlive reports whether it is there as far as is known.
func (p *process) isAlive() bool { return p.Exit == nil && p.gone == 0 }

// isThere looks whether it is there, where its end has not been told. One that was a moment ago is: its end
// would have been.
func (p *process) isThere(root string) bool {
	if now := time.Now(); now.Sub(p.there) > time.Second {
		start, err := began(root, p.PID)
		if err != nil || start != p.start {
			return false
		}
		p.there = now
	}
	return true
}

// began is when the process of a number began, as process.start.
func began(root string, pid int) (start uint64, err error) {
	stat, err := os.ReadFile(filepath.Join(root, strconv.Itoa(pid), "stat"))
	if err == nil {
		_, _, start, err = parseStat(stat)
	}
	return start, err
}

// readProcess reads what /proc tells of a process to everybody.
func readProcess(root string, pid int) (p process, err error) {
	dir := filepath.Join(root, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	p.PID = pid
	if p.Name, p.parent, p.start, err = parseStat(stat); err != nil {
		return p, fmt.Errorf("%s/stat: %w", dir, err)
	}
	line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	p.Command = program(line)
	groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
	p.groups = string(groups)
	p.Container, p.Pod, p.Unit = place(groups)
	for _, s := range []*string{&p.Command, &p.groups, &p.Container, &p.Pod, &p.Unit} {
		*s = unique.Make(*s).Value() // workers of a server have them in common
	}
	return p, nil
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)); the name may hold anything.
func parseStat(b []byte) (name string, parent int, start uint64, err error) {
	const parentField, startField = 1, 19 // behind the name
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, 0, fmt.Errorf("no name in it")
	}
	f := bytes.Fields(b[end+1:])
	if len(f) <= startField {
		return "", 0, 0, fmt.Errorf("too short")
	}
	if parent, err = strconv.Atoi(string(f[parentField])); err == nil {
		start, err = strconv.ParseUint(string(f[startField]), 10, 64)
	}
	return string(b[open+1 : end]), parent, start, err
}

// program is the program of a command line. What follows it may be secret: arguments, and what a
// process that gave itself a title wrote behind the first word.
func program(line []byte) string {
	word, _, _ := bytes.Cut(line, []byte{0})
	word, _, _ = bytes.Cut(word, []byte{' '})
	const longest = 256
	return strings.TrimSuffix(string(word[:min(len(word), longest)]), ":")
}

// The names by which runtimes and kubelets call the cgroups of containers and pods:
// docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope or the ID alone, below
// kubepods…-podUID.slice or podUID.
var (
	containerGroup = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:^|-)([0-9a-f]{64})(?:\.scope)?$`) })
	podGroup       = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)
	})
)

// place reads /proc/PID/cgroup (cgroups(7)): in which container, pod or unit the process is.
func place(groups []byte) (container, pod, unit string) {
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		// runc joins systemd's names by colons where it is not told to let systemd make the groups.
		for dir := range strings.FieldsFuncSeq(parts[2], func(c rune) bool { return c == '/' || c == ':' }) {
			if strings.Contains(dir, "conmon-") {
				continue // who minds a container is not in it
			}
			if m := containerGroup().FindStringSubmatch(dir); m != nil {
				container = m[1]
			} else if m := podGroup().FindStringSubmatch(dir); m != nil {
				pod = strings.ReplaceAll(m[1], "_", "-")
			} else if strings.HasSuffix(dir, ".service") {
				unit = dir
			}
		}
		if container != "" {
			return container, pod, ""
		}
	}
	return "", "", unit
}

// cgroups is where they are mounted; a variable for tests.
var cgroups = "/sys/fs/cgroup"

// memoryLimit is the least limit on memory of the cgroups that a process is in, octets; 0: none,
// or it is not known.
func memoryLimit(groups string) (limit uint64) {
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		top, file := cgroups, "memory.max"
		switch {
		case parts[1] == "memory":
			top, file = filepath.Join(cgroups, "memory"), "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		const none = 1 << 60 // what version 1 says is no limit
		for dir := filepath.Clean("/" + parts[2]); dir != "/"; dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(top, dir, file))
			if n, bad := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && bad == nil && n < none && (limit == 0 || n < limit) {
				limit = n
			}
		}
	}
	return limit
}

// pids are the processes that there are.
func pids(root string) (all []int) {
	dir, err := os.Open(root)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// sockets calls each with the inodes of the sockets that a process has open, which /proc tells
// only to those with a right to look into it.
func sockets(root string, pid int, each func(inode uint32)) error {
	path := filepath.Join(root, strconv.Itoa(pid), "fd")
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		link, no := os.Readlink(filepath.Join(path, name))
		if no != nil && isDenied(no) {
			return no // its descriptors may be listed, but not be looked at
		}
		if number, is := strings.CutPrefix(link, "socket:["); no == nil && is {
			if n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32); err == nil {
				each(uint32(n))
			}
		}
	}
	return err
}
