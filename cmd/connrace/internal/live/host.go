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
		w.note(fmt.Sprintf("%s of the kernel's had no room or were interrupted: who closed a connection then may be unknown", text.Plural(n, "event")))
	}
}

// mostListeners bounds the listeners whose processes are asked for.
const mostListeners = 256

// nameListeners adds the processes that listen now to what is known of the targets.
func (w *watch) nameListeners(r *detect.Result) {
	if w.host == nil {
		return
	}
	var qs []detect.HostQuestion
	var of []*detect.Listener
	at := w.wall(time.Now())
	for i := range r.Targets {
		if t := &r.Targets[i]; t.Listener != nil && len(qs) < mostListeners {
			qs = append(qs, detect.HostQuestion{Target: t.Target, Time: at, SYN: true})
			of = append(of, t.Listener)
		}
	}
	if len(qs) == 0 {
		return
	}
	for i, a := range w.ask(qs) {
		if p := a.Process; p != nil && p.Exit == nil && p.Until == 0 {
			of[i].Process = p
		}
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
