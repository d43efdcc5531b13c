package live

import (
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

// listens names the process that listens on an endpoint, if it is known.
func (w *watch) listens(e tcpstate.Endpoint, at int64) string {
	if w.host == nil {
		return ""
	}
	if p := w.host.Ask(&detect.HostQuestion{Target: e, Time: at, SYN: true}).Process; p != nil {
		return ", " + p.String()
	}
	return ""
}
