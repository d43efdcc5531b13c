package live

import (
	"errors"

	"connrace/cmd/connrace/internal/procs"
	"connrace/detect"
	"connrace/tcpstate"
)

// openHost begins to learn which processes have which sockets.
func (w *watch) openHost() {
	if w.o.processes.Value == "off" || w.Env.Self == "" {
		return
	}
	h, err := procs.Open(w.Env.Self, w.o.netns, w.o.processes.Value == "auto")
	if err != nil {
		w.note("processes are not named: " + err.Error())
		return
	}
	w.host = h
}

// ask asks the helper, and warns where it does not know all.
func (w *watch) ask(q *detect.HostQuestion) detect.HostAnswer {
	was := w.host.Lost
	a := w.host.Ask(q)
	switch {
	case w.host.Gone():
		w.warnOnce("", errors.New("processes are not named any more: the helper does not answer"))
	case w.host.Lost > was:
		w.warnOnce("", errors.New("some of the kernel's events had no room: who closed a connection may be unknown"))
	}
	return a
}

// listens names the process that listens on an endpoint, if it is known.
func (w *watch) listens(e tcpstate.Endpoint, at int64) string {
	if w.host == nil {
		return ""
	}
	if p := w.ask(&detect.HostQuestion{Target: e, Time: at, SYN: true}).Process; p != nil {
		return ", " + p.String()
	}
	return ""
}
