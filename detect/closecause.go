package detect

import (
	"fmt"
	"slices"
)

// The causes of a target's close (Measures.CloseCause).
const (
	CloseIdleTimeout    = "idle-timeout"    // how long it had been idle fits the target's timer
	CloseRequestTimeout = "request-timeout" // how long the request took fits a watchdog's
	CloseAge            = "connection-age"  // how old the connection was fits a limit
	CloseRequestLimit   = "request-limit"   // behind the same n-th request of a connection
	CloseImmediate      = "immediate"       // as soon as the target had the request, each time
	CloseMass           = "mass-close"      // several connections at once, whose clocks differ
	ClosePartial        = "partial-close"   // so, but the target kept others and served them
	CloseOverdueBatch   = "overdue-batch"   // several overdue ones at once
	CloseAfterResponse  = "after-response"  // right behind an answer that did not announce it
	CloseUnknown        = "unknown"
)

// CloseCause is a cause of a target's close: how it shows, what is said of it, and what is to be
// changed. Cause and fix of a finding follow it.
type CloseCause struct {
	ID        string
	Label     string    // how the target closed, behind "The target closed"
	How       string    // how it shows, a sentence; "": as the one before it with this ID
	KeepAlive bool      // the target's keep-alive timer is behind it
	Timer     TimerNote // what reports say about timers, where it is not the keep-alive timer
	Knobs     []Knob    // settings of the target's software; nil: those of the rule
	Trigger   string    // as that of a rule

	// shows reports whether the close is of this cause, and from what that is known.
	shows      func(*theClose, *target) (basis string, ok bool)
	cause, fix func(*Rule, Timers) string
}

// CloseCauses are all causes, in the order in which they are asked; the last one fits all. An ID
// is there twice where it shows in two ways.
var CloseCauses = []*CloseCause{
	{
		ID: CloseOverdueBatch, Label: "with other overdue ones", KeepAlive: true, Knobs: keepAliveKnobs,
		Trigger: "pauses between requests longer than the target's keep-alive timeout",
		How:     "Several connections were closed in one moment (50 ms), at unlike idle times, all beyond the timer that other closes show.",
		shows:   (*theClose).inBatch,
		cause:   text("The target closed several overdue connections in one sweep, as gunicorn does."),
		fix: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("Raise the target's keep-alive timeout%s (gunicorn --keep-alive, default 2 s) %s.", known(", %s now", t.Target), t.above())
		},
	},
	{
		ID: CloseMass, Label: "with many others at once", Timer: massTimer, Knobs: gracefulKnobs,
		Trigger: "such a stop (a deploy, a reload, a kill)",
		How:     "Several connections were closed in one moment (50 ms), and no one timer explains them: their idle times, or how long they had had a request, are unlike. Or connections were refused within a second of it.",
		shows:   (*theClose).inMass,
		cause:   text("The target closed several connections at once, whatever their age: a restart, a deploy or a killed worker."),
		fix:     text(drainFix),
	},
	{
		ID: ClosePartial, Label: "together with others, and kept the rest", Timer: partialTimer, Knobs: partialKnobs,
		Trigger: "such an end of a worker (a kill, a crash, a reload)",
		How: "Several connections were closed in one moment (50 ms) that no one timer explains, as in a mass-close, and more than are closed in other moments; " +
			"but requests that came later, on connections that the target had had before, were answered, and not as the last ones there, or most of its " +
			"connections stayed open.",
		shows: (*theClose).inShare,
		cause: text(partialText),
		fix:   text(partialFix),
	},
	{
		ID: CloseIdleTimeout, Label: "by its idle timer", KeepAlive: true, Knobs: keepAliveKnobs,
		Trigger: "pauses between requests longer than the target's keep-alive timeout",
		How:     "The connection had been idle for as long as the timer that other closes show (three or more, within a twentieth), as Keep-Alive: timeout= announces, or as is a well-known default; and it had had the next request for 0.1 s or four round trips at most, or not at all.",
		shows:   (*theClose).byIdleTimer,
		cause:   keepAliveFired,
		fix:     raiseKeepAlive,
	},
	{
		ID: CloseRequestLimit, Label: "behind the last request that it allows on a connection", Knobs: countKnobs,
		Trigger: "connections that carry as many requests",
		How:     "At least three connections were closed right behind the same n-th answer (n of 2 or more), none carried more, and the answer did not announce it.",
		Timer:   TimerNote{Head: "No timer: a limit on requests", Text: "The target closes a connection behind the same number of requests each time."},
		shows:   (*theClose).byCount,
		cause: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("The target closes each connection behind its %s request, without announcing it (no Connection: close).", ordinal(t.Count))
		},
		fix: text("Let the target say Connection: close with the last answer, or raise its limit (nginx keepalive_requests, Apache " +
			"MaxKeepAliveRequests, Tomcat maxKeepAliveRequests); or let the load balancer's connections carry fewer requests than that " +
			"(nginx keepalive_requests in upstream, Envoy max_requests_per_connection). A longer keep-alive timeout does not help here."),
	},
	{
		ID: CloseAfterResponse, Label: "right behind an answer",
		Trigger: "connections that are used again soon behind an answer",
		How:     "The connection had been idle for 0.1 s at most, and its last answer did not announce the close.",
		Timer:   TimerNote{Head: "No timer", Text: "The target closes right behind its answers."},
		shows:   (*theClose).behindAnswer,
		cause:   text("The target closed right behind its answer without announcing it (no Connection: close)."),
		fix: text("Let the target say Connection: close with an answer that it closes behind, or keep the connection open " +
			"(uWSGI: http with http-keepalive, instead of http-socket)."),
	},
	{
		ID: CloseIdleTimeout, Label: "by an idle timer that goes on during requests", KeepAlive: true, Knobs: keepAliveKnobs,
		Trigger: "requests that take longer than the target's keep-alive timeout",
		shows:   (*theClose).byTimerNotCancelled,
		cause: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("The target's keep-alive timeout%s went on although a request had come, and ended the connection with the request in work: "+
				"an error of the server, whose timer a request must cancel.", known(" (%s)", t.Target))
		},
		fix: func(_ *Rule, t Timers) string {
			return "Update the server: uvicorn once had such an error. Until then keep its keep-alive timeout " + t.above() +
				", and longer than the longest request."
		},
	},
	{
		ID: CloseRequestTimeout, Label: "by its own limit for a request", Knobs: requestKnobs,
		Trigger: "requests that take as long",
		How:     "A request was outstanding for as long as others that the target closed upon: three or more within a second (a watchdog looks now and then), or two to 50 ms; or, alone, for a whole number of seconds from 5 on. Few requests were closed upon sooner or answered later.",
		Timer:   TimerNote{Head: "The target's own limit for a request", Text: "The shortest wait is nearest to it: a request may have waited to be accepted before its time began, and a watchdog only looks now and then.", Also: TimerOutstanding},
		shows:   (*theClose).byRequestTimer,
		cause: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("The target gave the request up%s: its own time limit for a request, or a watchdog's that kills the worker.", known(" after about %s", t.Request))
		},
		fix: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("Find the limit%s (gunicorn --timeout, uWSGI harakiri, Node.js server.requestTimeout or setTimeout, Go WriteTimeout, "+
				"a framework's or a sidecar's) and set it above what the request needs and above the load balancer's own timeout, or make the request faster. "+
				"A longer keep-alive timeout does not help here.", known(" of about %s", t.Request))
		},
	},
	{
		ID: CloseAge, Label: "by a limit on the connection's age", Knobs: ageKnobs,
		Trigger: "connections that grow as old",
		How:     "Connections were closed at the same age, to a tenth either way, although they had been idle, and had had requests, for unlike times; none grew older.",
		Timer:   TimerNote{Head: "The target's limit on the age of a connection"},
		shows:   (*theClose).byAge,
		cause: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("The target closes a connection%s after it has accepted it, whatever goes on there: a limit on its age, or a read timeout that is counted from accept.",
				known(" %s", t.Age))
		},
		fix: text("Let the target end old connections between requests and announce it (Connection: close, GOAWAY with a grace period), raise that limit " +
			"(nginx keepalive_time, grpc-go MaxConnectionAge and MaxConnectionAgeGrace; Go: ReadHeaderTimeout and IdleTimeout instead of ReadTimeout), " +
			"or let the load balancer give connections up sooner (nginx keepalive_time in upstream, Envoy max_connection_duration). " +
			"A longer keep-alive timeout does not help here."),
	},
	{
		ID: CloseImmediate, Label: "as soon as it had the request",
		Trigger: "requests of the same method and path",
		How:     "Requests of one method and path, three or more, were closed upon within a round trip, on connections that had been idle for unlike times.",
		Timer:   TimerNote{Head: "No timer", Text: "The target closes as soon as it has such a request."},
		shows:   (*theClose).asRefusalOfSome,
		cause:   text("The target closes as soon as it has this request, each time: the application, or a proxy before it, refuses it without an answer, or crashes on it."),
		fix: text("Look for what refuses that method and path without an answer (nginx return 444, HAProxy http-request reject, a web application firewall, " +
			"a handler that aborts), and let it answer with a status instead. No timeout is behind it."),
	},
	{
		ID: CloseImmediate, Label: "as soon as it had any request",
		Trigger: "requests to that port",
		Timer:   TimerNote{Head: "No timer", Text: "The target closes as soon as it has a request."},
		shows:   (*theClose).asRefusal,
		cause: text("The target closes as soon as it has a request, each time, and answered none in this capture: most likely that port expects another protocol than " +
			"the load balancer speaks, such as TLS (Node.js and Python close so upon plain HTTP), HTTP/2, or a PROXY header first; else the application, or a proxy before it, refuses all requests, or crashes on them."),
		fix: text("Try `openssl s_client -connect TARGET` from the load balancer's host: if the port speaks TLS, correct the scheme or the port in the load balancer's configuration " +
			"(nginx proxy_pass https://, HAProxy server with ssl); if it expects a PROXY header, let the load balancer send one (nginx proxy_protocol on, HAProxy send-proxy). Else look for what refuses requests without an answer (nginx return 444, HAProxy http-request reject, " +
			"a web application firewall, a handler that aborts). No timeout is behind it."),
	},
	{
		ID: CloseMass, Label: "with others at that moment", Timer: massTimer, Knobs: gracefulKnobs,
		Trigger: "such a stop (a deploy, a reload, a kill)",
		shows:   (*theClose).asItLeft,
		cause:   text("The target closed several connections within a moment, whatever their age: a reload, a restart, a deploy or a killed worker."),
		fix:     text(drainFix),
	},
	{
		ID: CloseMass, Label: "as it stopped", Timer: massTimer, Knobs: gracefulKnobs,
		Trigger: "such a stop (a deploy, a crash, a kill)",
		shows:   (*theClose).asItStopped,
		cause:   text("The target stopped, and then refused connections: a restart, a deploy, a crash or a kill."),
		fix:     text(drainFix),
	},
	{
		ID: ClosePartial, Label: "together with others, and kept the rest", Timer: partialTimer, Knobs: partialKnobs,
		Trigger: "such an end of a worker (a kill, a crash, a reload)",
		shows:   (*theClose).asSomeLeft,
		cause:   text(partialText),
		fix:     text(partialFix),
	},
	{
		ID: ClosePartial, Label: "as a part of it stopped", Timer: partialTimer, Knobs: partialKnobs,
		Trigger: "such a stop (a deploy, a crash, a kill)",
		shows:   (*theClose).asSomeStopped,
		cause: text("Connections were refused at that moment, and others went on: one of several servers behind this address stopped, one of the " +
			"target's processes did, or it was stopping and served for a while what it had."),
		fix: text(partialFix),
	},
	{
		ID: CloseAge, Label: "at the end of the grace period behind its GOAWAY", Knobs: graceKnobs,
		Trigger: "calls as long, on connections that grow as old",
		Timer:   TimerNote{Head: "The target's grace period behind GOAWAY"},
		shows:   (*theClose).behindGoAway,
		cause: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("The target had said GOAWAY%s before and waited no longer for the streams that were open: a limit on the connection's age, a drain or a "+
				"shutdown, whose grace period was over.", known(" %s", t.Grace))
		},
		fix: func(_ *Rule, t Timers) string {
			return fmt.Sprintf("Give open streams longer%s between GOAWAY and close, at least as long as the longest call (grpc-go MaxConnectionAgeGrace, grpc-java "+
				"maxConnectionAgeGrace, Go Shutdown's context, nginx worker_shutdown_timeout, Kubernetes terminationGracePeriodSeconds), or raise the limit on the "+
				"connection's age. A longer keep-alive timeout does not help here.", known(" than %s", t.Grace))
		},
	},
	{
		ID: CloseIdleTimeout, Label: "by its idle timer", KeepAlive: true, Knobs: keepAliveKnobs,
		Trigger: "pauses between requests longer than the target's keep-alive timeout",
		shows:   (*theClose).byUsualIdleTimer,
		cause:   keepAliveFired,
		fix:     raiseKeepAlive,
	},
	{
		ID: CloseUnknown, Label: "for an unknown reason", Knobs: endedKnobs,
		Trigger: "the same requests under as much load, and whatever else went on there",
		How:     "Nothing above fits: one worker killed with one connection looks like this, and so does a crash.",
		shows:   func(*theClose, *target) (string, bool) { return "", true },
		cause:   text("The target closed for a reason that the packets do not show."),
		fix: func(r *Rule, t Timers) string {
			if !r.Race {
				return r.Fix
			}
			return "Look at that moment in the target's log for a restart, a reload, a killed worker or a limit on connections " +
				"(gunicorn --max-requests, uWSGI cheaper). If there is none, keep its keep-alive timeout " + t.above() + ". Until then " + repeatIdempotent + "."
		},
	},
}

const drainFix = "First see whether it was stopped or killed, as below: no hook survives SIGKILL. If it was killed, raise its memory limit or the time " +
	"that it has to stop (TimeoutStopSec, terminationGracePeriodSeconds), and " + repeatIdempotent +
	". If it was stopped (a deploy, a reload), take it " + outFirst

const (
	partialText = "The target closed several connections at once, whatever their age, and went on with others that it had: one of its workers was killed, " +
		"crashed or was replaced, one of several servers behind this address stopped, or it is stopping and closes idle connections first."
	partialFix = "See what ended at that moment, as below: a worker that is killed takes its connections along. If it ended in order (a reload, a limit on " +
		"a worker's requests), let it finish what it has, and " + repeatIdempotent + ". If the address is that of several servers, " +
		"take the one that is to stop " + outFirst
)

// outFirst goes on from "take it", where a stop is to do no harm.
const outFirst = "out of the load balancer before that (deregistration_delay.timeout_seconds, readiness probe, preStop sleep) " +
	"and let it go on serving meanwhile. A longer keep-alive timeout does not help here."

var partialTimer = TimerNote{Head: "No timer", Text: "A worker or a server that ends closes its connections whatever the timers say."}

var massTimer = TimerNote{Head: "No timer", Text: "A restart, a deploy or a kill closes connections whatever their timers say."}

func keepAliveFired(r *Rule, t Timers) string {
	while := "just as a request arrived on that idle connection"
	if r.Race {
		while = "while the load balancer was sending a request on that idle connection"
	}
	return fmt.Sprintf("The target's keep-alive timer%s fired %s.", known(" (%s)", t.Target), while)
}

func raiseKeepAlive(_ *Rule, t Timers) string {
	return fmt.Sprintf("Raise the target's keep-alive timeout%s %s, so that the load balancer closes first.", known(", which fires after %s,", t.Target), t.above())
}

// text is a text that is always the same.
func text(s string) func(*Rule, Timers) string { return func(*Rule, Timers) string { return s } }

// CauseOf is the cause of an ID; nil: there is none of it.
func CauseOf(id string) *CloseCause {
	for _, c := range CloseCauses {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// CauseWord is a cause as documents have it: the end of one of a target's workers is a mass close, too, and
// that others were kept is said beside it.
func CauseWord(id string) (word string, keptOthers bool) {
	if id == ClosePartial {
		return CloseMass, true
	}
	return id, false
}

// CauseFrom is the ID of a cause, of what CauseWord says.
func CauseFrom(word string, keptOthers bool) string {
	if word == CloseMass && keptOthers {
		return ClosePartial
	}
	return word
}

// CauseIDs are the IDs of all causes, each once.
func CauseIDs() (ids []string) {
	for _, c := range CloseCauses {
		if !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// causeFor says why, for a finding whose target closed for the given cause; nil: it did not
// close.
func (c *CloseCause) causeFor(r *Rule, t Timers) string {
	if !r.follows(c) {
		return r.Cause
	}
	return c.cause(r, t)
}

// fixFor says what to change.
func (c *CloseCause) fixFor(r *Rule, t Timers) string {
	if !r.follows(c) {
		return r.Fix
	}
	return c.fix(r, t)
}

// follows reports whether the cause and fix of the rule's findings are those of the close.
func (r *Rule) follows(c *CloseCause) bool {
	return c != nil && (r.FollowsClose == AnyClose || r.FollowsClose == KnownClose && c.ID != CloseUnknown)
}

// Timers are what is known of the clocks that end connections, ns; 0: unknown.
type Timers struct {
	Target, LB int64  // the idle timeouts
	Request    int64  // the target's limit for a request, or how long it had had this one
	Age        int64  // its limit on the age of a connection
	Grace      int64  // and how long it waits for open streams behind a GOAWAY
	Count      uint32 // and on its requests
	Purges     bool   // the LB, most likely HAProxy, has no idle timeout: of its idle connections it closes some now and then
}

// above says above what the target's keep-alive timeout must be: it outlives the LB's, five
// seconds to spare.
func (t Timers) above() string {
	if t.Purges && t.LB == 0 {
		return fmt.Sprintf("to %d s or more, longer than the load balancer keeps idle connections",
			max(75, (t.Target+second-1)/second+5))
	}
	enough := "75 s (an ALB's is 60 s)"
	if t.LB != 0 {
		enough = fmt.Sprintf("%d s", (max(t.LB, t.Target)+second-1)/second+5)
	}
	return fmt.Sprintf("above the load balancer's idle timeout%s, to %s or more", known(" (%s)", t.LB), enough)
}

// known formats a time that is known, to a tenth of a second.
func known(format string, ns int64) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprintf(format, fmt.Sprintf("%g s", float64((ns+5e7)/1e8)/10))
}

// ordinal is "3rd".
func ordinal(n uint32) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}
