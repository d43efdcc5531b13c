package software

import (
	"bytes"
	"slices"
	"strings"
)

// The forms of heads whose Server field names who wrote them: where it puts that field, and what it puts beside it.

func atFirst(_ *head, i int) bool { return i == 0 }
func atLast(h *head, i int) bool  { return i == len(h.fields)-1 }

// Connection belongs to one hop: who passes an answer on takes it away, or puts its own elsewhere.
func ofGunicorn(h *head, _ int) bool { return h.run(0, "Server", "Date", "Connection") }

func ofNginx(h *head, _ int) bool   { return h.run(0, "Server", "Date") && h.value("Connection") != "" }
func ofApache(h *head, _ int) bool  { return h.run(0, "Date", "Server") }
func ofUvicorn(h *head, _ int) bool { return h.run(0, "date", "server") && h.lower() }
func ofJetty(h *head, i int) bool   { return i > 1 && atLast(h, i) && h.run(0, "Date") }

// sorted reports whether the fields stand in the order of their names.
func sorted(h *head, _ int) bool {
	return slices.IsSortedFunc(h.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
}

func ofJetty12(h *head, _ int) bool {
	return h.run(0, "Server", "Date") && !h.ranged()
}

// ofWerkzeug: each answer ends its connection; http.server, which it is made of, says so before the type of an error.
func ofWerkzeug(h *head, _ int) bool {
	return h.run(0, "Server", "Date") && h.value("Connection") == "close"
}

// ofDaphne: it is the one that writes no Date; whoever passes it on adds one.
func ofDaphne(h *head, i int) bool { return atLast(h, i) && !h.has("Date") }

// ofTwisted: what it says of the connection stands before all else.
func ofTwisted(h *head, i int) bool {
	return i <= 1 && h.run(i, "Server", "Date") && h.fold("Connection") <= 0 && !h.ranged()
}

// dated: Date and Server come last, as Go's net/http would put them, whose order is that of the names.
func dated(h *head, i int) bool {
	return atLast(h, i) && h.run(i-1, "Date", "Server") && !sorted(h, i)
}

func ofTornado(h *head, _ int) bool {
	return h.run(0, "Server", "Content-Type", "Date") && !h.ranged()
}

// ranged reports whether lighttpd has added its own field to an answer that it passes on otherwise as it is.
func (h *head) ranged() bool { return h.run(-1, "Accept-Ranges") }

// orders are the signs of servers that name themselves nowhere.
var orders = []func(*head) Software{(*head).node, (*head).express, (*head).tomcat, (*head).unicorn, (*head).passenger, (*head).goServer}

// added is where what a server adds ends: the length of a body may stand behind it.
func (h *head) added() int {
	if h.run(-1, "Content-Length") || h.run(-1, "Transfer-Encoding") {
		return len(h.fields) - 1
	}
	return len(h.fields)
}

// node: lib/_http_outgoing.js, _storeHeader. Tomcat answers HTTP/1.0 with the same fields, and without a reason,
// which Node.js would pass on.
func (h *head) node() Software {
	end := h.added()
	if h.run(end-3, "Date", "Connection", "Keep-Alive") && h.fields[end-2].value == "keep-alive" && strings.HasPrefix(h.fields[end-1].value, "timeout=") && !h.reasonless() {
		return Software{Name: "Node.js", Basis: "its Date, Connection: keep-alive and Keep-Alive headers, in this order"}
	}
	return Software{}
}

func (h *head) express() Software {
	if h.run(0, "X-Powered-By") && h.fields[0].value == "Express" && h.run(h.added()-2, "Date", "Connection") {
		return Software{Name: "Node.js", Basis: "its X-Powered-By header, Express"}
	}
	return Software{}
}

// common are codes whose reason is known to all who write one.
var common = []string{
	"200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401", "403", "404", "405", "406", "409", "410", "412", "413", "415",
	"500", "501", "502", "503", "504",
}

// reasonless reports whether the status has no reason behind it, though it is a common one.
func (h *head) reasonless() bool {
	code, ok := bytes.CutPrefix(h.line, []byte("HTTP/1.1 "))
	return ok && len(code) == 4 && code[3] == ' ' && slices.Contains(common, string(code[:3]))
}

// tomcat: since 8.5 it writes no reason, and Date behind all but what it says of the connection
// (Http11Processor.java, prepareResponse). Where the request asks for it, Keep-Alive stands before Connection.
func (h *head) tomcat() Software {
	const basis = "no reason in its status line, and Date at the end"
	end := len(h.fields)
	switch {
	case !h.reasonless():
	case h.run(end-3, "Date", "Keep-Alive", "Connection") && strings.HasPrefix(h.fields[end-2].value, "timeout=") && h.fields[end-1].value == "keep-alive":
		return Software{Name: "Tomcat", Basis: "no reason in its status line, and Date, Keep-Alive and Connection: keep-alive at the end"}
	case h.run(end-1, "Date"), h.run(end-2, "Date", "Connection") && h.fields[end-1].value == "close":
		return Software{Name: "Tomcat", Basis: basis, Likely: true}
	}
	return Software{}
}

// unicorn: lib/unicorn/http_response.rb, http_response_write. CivetWeb and Akka begin so, too, but answer for no
// Rack, whose Rack::Runtime this is; Pitchfork, which was made of it, does.
func (h *head) unicorn() Software {
	if h.run(0, "Date", "Connection") && h.fields[1].value == "close" && h.has("X-Runtime") {
		return Software{Name: "Unicorn", Basis: "its Date and Connection: close headers before those of Rack", Likely: true}
	}
	return Software{}
}

// passenger: its own core, without nginx or Apache around it (Controller/ForwardResponse.cpp, constructHeaderBuffersForResponse).
func (h *head) passenger() Software {
	if n := len(h.fields) - 1; h.run(0, "Status") && h.run(n, "X-Powered-By") && strings.HasPrefix(h.fields[n].value, "Phusion Passenger") {
		return Software{Name: "Passenger", Basis: "its Status and X-Powered-By headers, Phusion Passenger, around the others"}
	}
	return Software{}
}

func (h *head) goServer() Software {
	if h.sniffed() {
		return Software{Name: "Go", Basis: "its Date, Content-Length and Content-Type headers, in this order"}
	}
	return Software{}
}

// sniffed reports whether the head ends as net/http ends it, with a type that it found by itself
// (extraHeader.Write, DetectContentType): one that the handler has set, or that came from
// elsewhere, stands before Date. The length is behind Date unless the handler has set it.
func (h *head) sniffed() bool {
	end := len(h.fields)
	if h.run(-1, "Connection") && h.fields[end-1].value == "close" {
		end--
	}
	if !h.run(end-3, "Date", "Content-Length", "Content-Type") && !(h.run(end-2, "Date", "Content-Type") && h.value("Content-Length") != "") {
		return false
	}
	switch h.fields[end-1].value {
	case "text/plain; charset=utf-8", "text/html; charset=utf-8", "text/xml; charset=utf-8", "application/octet-stream":
		return true
	}
	return false
}
