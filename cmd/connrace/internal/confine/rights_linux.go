package confine

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// capabilities are the sets of a thread, as capget(2) gives them.
type capabilities [2]unix.CapUserData

var capHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}

func getCapabilities() (c capabilities, err error) {
	h := capHeader
	err = unix.Capget(&h, &c[0])
	return c, err
}

// apply sets those of one thread.
func (c capabilities) apply() error {
	h := capHeader
	return unix.Capset(&h, &c[0])
}

// applyAll sets those of all threads.
func (c capabilities) applyAll() error {
	h := capHeader
	if _, _, e := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&c[0])), 0); e != 0 {
		return e
	}
	return nil
}

func (c capabilities) effective() uint64 { return uint64(c[0].Effective) | uint64(c[1].Effective)<<32 }

func (c capabilities) permitted() uint64 { return uint64(c[0].Permitted) | uint64(c[1].Permitted)<<32 }

// set has some capabilities in it, and no others.
func set(kept []Capability) (c capabilities) {
	for _, k := range kept {
		c[k.number/32].Effective |= 1 << (k.number % 32)
		c[k.number/32].Permitted |= 1 << (k.number % 32)
	}
	return c
}

// Have reports whether this thread may use all of some capabilities.
func Have(cs ...Capability) bool {
	have, err := getCapabilities()
	return err == nil && !slices.ContainsFunc(cs, func(c Capability) bool { return have.effective()&(1<<c.number) == 0 })
}

// Raise uses the rights that the program's file gives it: with 'setcap cap_net_raw=p' it can
// be started where nobody may have them, too.
func Raise() error {
	c, err := getCapabilities()
	if err != nil || c.effective() == c.permitted() {
		return err
	}
	for i := range c {
		c[i].Effective = c[i].Permitted
	}
	return c.applyAll()
}

// prctl is prctl(2) for all threads.
func prctl(option, arg uintptr) error {
	if _, _, e := psx.Syscall6(unix.SYS_PRCTL, option, arg, 0, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// GiveUp makes the process the user that it shall be, and gives up all capabilities but
// those that the plan needs, for good: no program that it could start would get one back.
func (p *Plan) GiveUp() error {
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	have, err := getCapabilities()
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	kept := p.Keep
	if p.User == "" && have.effective() != 0 {
		for _, c := range p.lacking(have) {
			kept = with(kept, c)
		}
	}
	kept = slices.DeleteFunc(slices.Clone(kept), func(c Capability) bool { return have.permitted()&(1<<c.number) == 0 })
	keep := set(kept)
	if p.Stay && have.effective()&(1<<unix.CAP_SETPCAP) != 0 {
		for n := uintptr(0); known(n); n++ {
			if keep.permitted()&(1<<n) != 0 {
				continue
			}
			if err := prctl(unix.PR_CAPBSET_DROP, n); err != nil {
				return fmt.Errorf("capability %d: %w", n, err)
			}
		}
	}
	if p.User != "" {
		if err := become(p.User, keep != (capabilities{})); err != nil {
			return fmt.Errorf("--user %s: %w", p.User, err)
		}
	}
	if have != (capabilities{}) {
		if err := keep.applyAll(); err != nil {
			return fmt.Errorf("capabilities: %w", err)
		}
	}
	if p.User != "" {
		if err := p.reachable(); err != nil {
			return err
		}
	}
	p.as = fmt.Sprintf("user %s with %s, no_new_privs", name(os.Geteuid()), rights(kept))
	return nil
}

// name is the name of a user, or the number of one without.
func name(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// known reports whether the kernel has a capability.
func known(number uintptr) bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, number, 0, 0, 0)
	return err == nil
}

// become changes the user, the group, and the other groups. keepCaps: capabilities that are
// permitted stay that.
func become(who string, keepCaps bool) error {
	uid, gid, groups, err := lookup(who)
	if err != nil {
		return err
	}
	if os.Geteuid() == uid && os.Getuid() == uid {
		return nil
	}
	if keepCaps {
		if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
			return err
		}
		defer prctl(unix.PR_SET_KEEPCAPS, 0)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	return nil
}

// lookup finds a user by name, or takes UID[:GID] as it is, for containers know no names.
func lookup(who string) (uid, gid int, groups []int, err error) {
	u, err := user.Lookup(who)
	if err != nil {
		id, group, both := strings.Cut(who, ":")
		n, bad := strconv.ParseUint(id, 10, 31)
		m := n
		if both && bad == nil {
			m, bad = strconv.ParseUint(group, 10, 31)
		}
		if bad != nil {
			return 0, 0, nil, fmt.Errorf("there is no such user")
		}
		return int(n), int(m), []int{int(m)}, nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return 0, 0, nil, err
	}
	for _, s := range append([]string{u.Gid}, ids...) {
		if n, err := strconv.Atoi(s); err == nil {
			groups = append(groups, n)
		}
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, groups, nil
}

// lacking are the capabilities without which the plan would fail.
func (p *Plan) lacking(have capabilities) (lacking []Capability) {
	done := make(chan struct{})
	go func() { // on a thread of its own, which has lost them
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		without := have
		for i := range without {
			without[i].Effective = 0
		}
		if without.apply() != nil {
			return
		}
		defer have.apply()
		for _, path := range p.Read {
			if unreadable(path) != "" {
				lacking = with(lacking, ReadInputs)
			}
		}
		for _, path := range p.Write {
			if unwritable(path) != "" {
				lacking = with(lacking, WriteOutputs)
			}
			if othersSticky(path) {
				lacking = with(lacking, ReplaceOutputs)
			}
		}
	}()
	<-done
	return lacking
}

// reachable reports what the user cannot do that is to be done later, when it would be too
// late to learn of it.
func (p *Plan) reachable() error {
	for _, path := range p.Read {
		if at := unreadable(path); at != "" {
			return fmt.Errorf("%s: user %s may not read it", at, name(os.Geteuid()))
		}
	}
	for _, path := range p.Write {
		if at := unwritable(path); at != "" {
			return fmt.Errorf("%s: user %s may not write there: change its owner, or name another directory", at, name(os.Geteuid()))
		}
	}
	return nil
}

// may reports whether permissions allow something; what is not there is no matter of them.
func may(path string, mode uint32) bool {
	err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	return err != unix.EACCES && err != unix.EPERM
}

// unreadable is what of a file, or of a directory with what is in it, cannot be read; "":
// all of it can.
func unreadable(path string) string {
	if path == "-" {
		return ""
	}
	if !may(path, unix.R_OK) {
		return path
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return ""
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return path
	}
	for _, e := range entries {
		if at := filepath.Join(path, e.Name()); !may(at, unix.R_OK) {
			return at
		}
	}
	return ""
}

// unwritable is where a file that is to be written cannot be, or the directory in which it
// cannot be made; "": it can.
func unwritable(path string) string {
	dir, file := place(path)
	if file != "" && !may(file, unix.W_OK) {
		return file
	}
	if dir != "" && !may(dir, unix.W_OK|unix.X_OK) {
		return dir
	}
	return ""
}

// othersSticky reports whether a file belongs to another user in a sticky directory that
// does, too.
func othersSticky(path string) bool {
	dir, file := place(path)
	var d, f unix.Stat_t
	if file == "" || dir == "" || unix.Stat(dir, &d) != nil || unix.Stat(file, &f) != nil {
		return false
	}
	uid := uint32(os.Geteuid())
	return d.Mode&unix.S_ISVTX != 0 && d.Uid != uid && f.Uid != uid
}

// place says what of a path has to be written to: the directory in which a file is made
// (the directory itself where the path is one, else the nearest that is there), and the file
// if it is there already; no directory where that is a device or a pipe. Conversions of
// strftime(3) name nothing yet.
func place(path string) (dir, file string) {
	if before, _, timed := strings.Cut(path, "%"); timed {
		path = before
		if !strings.HasSuffix(before, "/") {
			path = filepath.Dir(before + "x")
		}
	}
	path = filepath.Clean(path)
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir():
		return path, ""
	case err == nil && !st.Mode().IsRegular():
		return "", path
	case err == nil:
		file = path
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real // it is written where the link leads
		}
	}
	for dir = filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil && st.IsDir() || dir == filepath.Dir(dir) {
			return dir, file
		}
	}
}
