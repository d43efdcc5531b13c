package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

const (
	readFile  = ll.AccessFSReadFile
	readDir   = readFile | ll.AccessFSReadDir
	writeFile = readFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	writeDir  = readDir | writeFile | ll.AccessFSMakeReg | ll.AccessFSRemoveFile | ll.AccessFSMakeDir | ll.AccessFSRemoveDir
	// handled is what is refused elsewhere: all that Landlock knew with Linux 6.10.
	handled = writeDir | ll.AccessFSExecute | ll.AccessFSMakeChar | ll.AccessFSMakeSock | ll.AccessFSMakeFifo |
		ll.AccessFSMakeBlock | ll.AccessFSMakeSym | ll.AccessFSRefer | ll.AccessFSIoctlDev
)

// always are what Go and the libraries read now and then: the process's own figures and the
// memory that there is.
var always = []string{"/proc", "/sys/fs/cgroup"}

// network are what is read to connect to somebody by name: files that are replaced, not
// changed, so that only their directories last.
var network = []string{"/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki"}

// Restrict puts all files out of reach but those of the plan, where the kernel has Landlock,
// and refuses system calls that are never made. What is open stays open. It is called once
// what is written to has been opened, so that its directories are there.
func (p *Plan) Restrict() error {
	_ = time.Now().Local().String() // reads /etc/localtime, once for all
	var err error
	if !p.Look {
		err = p.files()
	}
	if e := refuse(); e == nil {
		p.bounds = append(p.bounds, "seccomp: no program can be started")
	} else if err == nil {
		err = e
	}
	return err
}

// files confines what can be opened.
func (p *Plan) files() error {
	version, err := ll.LandlockGetABIVersion()
	if err != nil || version < 1 {
		p.bounds = append(p.bounds, "no Landlock in this kernel")
		return nil
	}
	var rules []landlock.Rule
	allow := func(rights landlock.AccessFSSet, path string) {
		if path == "" || !onDisk(path) {
			return
		}
		if st, err := os.Stat(path); err == nil && !st.IsDir() {
			rights &= writeFile | ll.AccessFSIoctlDev
		}
		rules = append(rules, landlock.PathAccess(rights, path).IgnoreIfMissing())
	}
	for _, path := range slices.Concat(always, p.Read, p.Beside) {
		allow(readDir, path)
	}
	for _, path := range p.Read {
		for _, link := range links(path) { // where it leads need not be below
			allow(readFile, link)
		}
	}
	if p.Connect {
		for _, path := range network {
			allow(readDir, path)
		}
		for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
			allow(readDir, os.Getenv(name))
		}
	}
	for _, path := range p.Write {
		dir, file := place(path)
		if dir == "" {
			allow(writeFile, file)
		}
		allow(writeDir, dir)
		// It is opened from the directory that it is in, and where it is a link, from that of
		// what it leads to.
		real, _ := filepath.EvalSymlinks(path)
		for _, in := range []string{path, real} {
			if _, err := os.Lstat(in); err == nil {
				allow(ll.AccessFSReadDir, filepath.Dir(filepath.Clean(in)))
			}
		}
	}
	for _, path := range p.Remove {
		allow(ll.AccessFSRemoveFile, filepath.Dir(path))
	}
	net := landlock.AccessNetSet(ll.AccessNetBindTCP | ll.AccessNetConnectTCP)
	if p.Connect {
		net = ll.AccessNetBindTCP // whom to connect to, a proxy may decide
	}
	config := landlock.Config{HandledAccessFS: handled, HandledAccessNet: net}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	restricted.Store(true)
	p.bounds = append(p.bounds, fmt.Sprintf("Landlock (version %d): only the files that were named", version))
	return nil
}

// links are the links in a directory.
func links(dir string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// onDisk reports whether a path leads to something that has a place among files; a pipe that
// only /proc/self/fd names has none, needs no rule, and can have none.
func onDisk(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return false
	}
	return st.Type != unix.PIPEFS_MAGIC && st.Type != unix.SOCKFS_MAGIC && st.Type != unix.ANON_INODE_FS_MAGIC
}
