package confine

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are system calls that connrace never makes, and with which somebody who has taken
// it over would begin: to start a program, to reach into another process, to load code into
// the kernel, to come by another namespace and the rights in it.
var refused = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP,
	unix.SYS_PIDFD_GETFD, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEXEC_LOAD, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_ACCT,
	unix.SYS_CLONE3, // its flags cannot be looked at; whoever uses it falls back on clone
}

// architectures are the values by which the kernel tells apart whose numbers are used.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "386": unix.AUDIT_ARCH_I386}

// refuse has the kernel refuse system calls, to all threads.
func refuse() error {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return nil
	}
	prog := program(arch)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: unsafe.SliceData(prog)}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	switch {
	case e != 0:
		return fmt.Errorf("seccomp: %w", e)
	case thread != 0:
		return fmt.Errorf("seccomp: thread %d differs", thread)
	}
	return nil
}

// program is the filter: what is refused fails, everything else goes on.
func program(arch uint32) []unix.SockFilter {
	const (
		number, architecture, flags = 0, 4, 16 // in struct seccomp_data; flags is clone's first argument
		x32                         = 0x40000000
		namespaces                  = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		bits  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		give  = unix.BPF_RET | unix.BPF_K
	)
	allow := unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW}
	fail := func(e unix.Errno) unix.SockFilter {
		return unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
	}
	prog := []unix.SockFilter{
		{Code: load, K: architecture},
		{Code: equal, K: arch, Jt: 1},
		fail(unix.ENOSYS),
		{Code: load, K: number},
		{Code: least, K: x32, Jf: 1},
		fail(unix.ENOSYS),
	}
	for _, n := range refused {
		e := unix.EPERM
		if n == unix.SYS_CLONE3 {
			e = unix.ENOSYS
		}
		prog = append(prog, unix.SockFilter{Code: equal, K: n, Jf: 1}, fail(e))
	}
	return append(prog,
		unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jt: 1}, allow,
		unix.SockFilter{Code: load, K: flags},
		unix.SockFilter{Code: bits, K: namespaces, Jf: 1}, fail(unix.EPERM), allow)
}
