package live

import (
	"errors"
	"fmt"
	"time"

	"connrace/cmd/connrace/internal/procs"
	"connrace/cmd/connrace/internal/text"
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

// ask asks the helper, and warns where it does not answer.
func (w *watch) ask(qs []detect.HostQuestion) []detect.HostAnswer {
	as := w.host.Ask(qs)
	switch {
	case w.host.Gone():
		w.warnOnce("", errors.New("processes are not named any more: the helper does not answer"))
	case w.host.Late():
		w.warnOnce("", errors.New("processes are not named for now: the helper has not answered yet"))
	}
	return as
}

// sayLost warns of what the kernel said and nobody could take.
func (w *watch) sayLost(now time.Time) {
	if n, ok := w.unheard.news(w.host.Lost, now); ok {
		w.note(fmt.Sprintf("%s of the kernel's had no room: who closed a connection then may be unknown", text.Plural(n, "event")))
	}
}

// listens names the process that listens on an endpoint, if it is known.
func (w *watch) listens(e tcpstate.Endpoint, at int64) string {
	if w.host == nil {
		return ""
	}
	if p := w.ask([]detect.HostQuestion{{Target: e, Time: at, SYN: true}})[0].Process; p != nil {
		return ", " + p.String()
	}
	return ""
}
