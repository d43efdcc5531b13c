package capture

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// link is a named interface.
type link struct {
	name  string
	index uint32
	state LinkState
}

// findLinks looks up the interfaces by name.
func (l *Live) findLinks() error {
	if slices.Contains(l.opt.Interfaces, AnyInterface) {
		if len(l.opt.Interfaces) > 1 {
			return fmt.Errorf("%q includes all other interfaces: give it alone", AnyInterface)
		}
		return nil
	}
	for _, name := range l.opt.Interfaces {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = unix.IoctlIfreq(l.fd, unix.SIOCGIFINDEX, r)
		}
		if err != nil {
			return fmt.Errorf("%s: no such interface; there are %s", name, interfaceNames())
		}
		k := link{name: name, index: r.Uint32()}
		if slices.ContainsFunc(l.links, func(o link) bool { return o.index == k.index }) {
			continue
		}
		l.links = append(l.links, k)
		l.names[k.index] = name
	}
	return nil
}

// interfaceNames lists what could have been given.
func interfaceNames() string {
	names := []string{AnyInterface}
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// header returns the kind of link header of the only interface.
func (l *Live) header() (headerKind, error) {
	name := l.links[0].name
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(l.fd, unix.SIOCGIFHWADDR, r)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	switch r.Uint16() {
	case arphrdEther, arphrdLoopback:
		return etherHeader, nil
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE:
		return otherHeader, nil // tcpdump's programs, too, see packets that begin with IP
	}
	if l.opt.Filter != nil && l.opt.Filter.raw != nil {
		return 0, fmt.Errorf("%s: filters of tcpdump are not understood for its kind of link", name)
	}
	return otherHeader, nil
}

// checkLinks reports named interfaces that went down, came up or are gone.
func (l *Live) checkLinks(now time.Time) {
	if now.Sub(l.checked) < checkEvery || len(l.links) == 0 {
		return
	}
	l.checked = now
	left := 0
	for i := range l.links {
		k := &l.links[i]
		if k.state == LinkGone {
			continue
		}
		state := l.linkState(k)
		if l.bounced && state == LinkUp {
			l.setLinkState(k, LinkDown)
		}
		l.setLinkState(k, state)
		switch state {
		case LinkDown:
			l.checked = now.Add(checkSoon - checkEvery)
			fallthrough
		case LinkUp:
			left++
		}
	}
	l.bounced = false
	if left == 0 {
		l.finish(fmt.Errorf("%s: the interface is gone", l.links[len(l.links)-1].name))
	}
}

// setLinkState reports a change to LiveOptions.Link.
func (l *Live) setLinkState(k *link, s LinkState) {
	if k.state == s {
		return
	}
	k.state = s
	if l.opt.Link != nil {
		l.opt.Link(LinkEvent{k.name, s})
	}
}

func (l *Live) linkState(k *link) LinkState {
	var r unix.Ifreq
	r.SetUint32(k.index)
	if errors.Is(unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, &r), unix.ENODEV) {
		return LinkGone
	}
	if unix.IoctlIfreq(l.fd, unix.SIOCGIFFLAGS, &r) == nil && r.Uint16()&unix.IFF_UP == 0 {
		return LinkDown
	}
	return LinkUp
}

// InterfaceName returns the name of the interface with Frame.Interface's index; "" if it is
// gone and was never asked for.
func (l *Live) InterfaceName(index uint32) string {
	if name, ok := l.names[index]; ok {
		return name
	}
	var r unix.Ifreq
	r.SetUint32(index)
	if l.fd < 0 || unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, &r) != nil {
		return ""
	}
	name := r.Name()
	if len(l.names) < maxNames {
		l.names[index] = name
	}
	return name
}
