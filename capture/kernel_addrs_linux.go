package capture

import (
	"golang.org/x/sys/unix"

	"connrace/tcpstate"
)

// LocalAddrs returns the addresses that the namespace has now. Each of 127.0.0.0/8 is
// local, too. It asks a socket that was opened there (rtnetlink(7)): to enter the namespace
// anew would need CAP_SYS_ADMIN for as long as it is watched.
func (w *Witness) LocalAddrs() (map[tcpstate.Addr]bool, error) {
	local := map[tcpstate.Addr]bool{}
	const size = 8 // struct ifaddrmsg
	w.route.request(unix.RTM_GETADDR, size)[0] = unix.AF_UNSPEC
	err := w.route.dump(unix.RTM_NEWADDR, func(m []byte) {
		if len(m) < size {
			return
		}
		// IFA_LOCAL is the interface's own where IFA_ADDRESS is its peer's; IPv6 has only the
		// latter unless there is a peer.
		var addr []byte
		for kind, v := range attributes(m[size:]) {
			if kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS && addr == nil {
				addr = v
			}
		}
		switch {
		case m[0] == unix.AF_INET && len(addr) == 4:
			local[tcpstate.Addr4(addr)] = true
		case m[0] == unix.AF_INET6 && len(addr) == 16:
			local[tcpstate.Addr16(addr)] = true
		}
	})
	if err != nil {
		return nil, err
	}
	return local, nil
}
