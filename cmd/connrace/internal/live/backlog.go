package live

import (
	"connrace/detect"
	"connrace/tcpstate"
)

// maxTinyNamed is how many listeners with a tiny backlog are named where it was not said
// which ones are targets.
const maxTinyNamed = 5

// warnAboutQueues names listeners whose backlog is too small, before it drops something,
// and unix sockets that nobody listens on.
func (w *watch) warnAboutQueues(s *detect.KernelSample) {
	for i := range s.Listeners {
		l := &s.Listeners[i]
		k := backlog{end: l.End, limit: l.Limit}
		if w.warned[k] || l.Limit > detect.TinyBacklog && l.Limit != s.SOMaxConn {
			continue
		}
		warning := detect.BacklogWarning(l.Limit, s.SOMaxConn)
		if warning == "" || !w.concerns(l) || len(w.warned) >= maxNotes {
			continue
		}
		w.warned[k] = true
		w.warn(l.End.String() + w.listens(l.End, s.Time) + ": " + warning)
	}
	for i := range s.Sockets {
		x := &s.Sockets[i]
		k := backlog{path: x.Path, limit: x.Limit}
		if was, known := w.missing[x.Path]; was != x.Missing || !known {
			w.missing[x.Path] = x.Missing
			if x.Missing {
				w.warn("unix:" + x.Path + ": nobody listens there, in this network namespace at least: connect() gives ENOENT or ECONNREFUSED")
			} else if known {
				w.warn("unix:" + x.Path + ": somebody listens there now")
			}
		}
		if warning := detect.BacklogWarning(x.Limit, s.SOMaxConn); !x.Missing && warning != "" && !w.warned[k] && len(w.warned) < maxNotes {
			w.warned[k] = true
			w.warn("unix:" + x.Path + ": " + warning)
		}
	}
}

// concerns reports whether a listener is worth a warning: a target's, or, where none was
// named, one with hardly any backlog at all.
func (w *watch) concerns(l *detect.KernelListener) bool {
	if match := w.o.Target.Matcher(); match != nil {
		return w.sampler.serves(l, match)
	}
	return l.Limit <= detect.TinyBacklog && len(w.warned) < maxTinyNamed && (w.o.LB.Matcher() == nil || !l.End.Addr.Netip().IsLoopback())
}

// backlog is a listener, or a unix socket, with its backlog.
type backlog struct {
	end   tcpstate.Endpoint
	limit uint32
	path  string
}
