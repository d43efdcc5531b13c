package detect

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Remark is what a capture says of the packet of a segment of evidence besides its bytes. It is
// hostile input.
type Remark struct {
	Evidence int // index in Finding.Evidence; -1: Finding.IdleFrom
	Comments []string
	Inbound  bool // the host that captured received the packet
	Outbound bool // it sent it; neither: unknown
	// Interface is the name of the one that it was captured on; "": unknown.
	Interface string
}

// mostRemark bounds what is shown of a packet's comments, octets.
const mostRemark = 1000

// ByComment is the basis of a process that comments in the capture name.
const ByComment = "comment"

// AddRemarks adds what captures say of the packets of the evidence. It returns the number of
// comments of which not all is shown.
func (f *Finding) AddRemarks(rs []Remark) (cut int) {
	for i := range rs {
		r := &rs[i]
		e := f.IdleFrom
		if r.Evidence >= 0 {
			e = &f.Evidence[r.Evidence]
		}
		text, whole := shownComments(r.Comments)
		switch {
		case text == "" || strings.Contains(e.Comment(), text):
		case e.Comment() == "":
			e.SetComment(text)
		case len(e.Comment())+len(text) <= 2*mostRemark: // another point saw it too
			e.SetComment(e.Comment() + "; " + text)
		default:
			whole = false
		}
		if !whole {
			cut++
		}
	}
	if p := f.remarkedProcess(rs); p != nil && f.Process == nil && f.Severity != Info {
		f.Process = p
		f.Summary += "; the capture's comments name " + p.String()
	}
	return cut
}

// shownComments are a packet's comments on one line, without what is this program's own and
// without what ptcpdump knows of command lines, labels and annotations: passwords may be there,
// and nobody needs them here. whole: it is not cut.
func shownComments(cs []string) (text string, whole bool) {
	var lines []string
	of := 0
	for _, c := range cs {
		if strings.HasPrefix(c, "connrace ") { // --annotate wrote it: the findings say it anew
			continue
		}
		ptcpdump := isPtcpdump(c) || pidLine().MatchString(c)
		for line := range strings.Lines(c[:min(len(c), 1<<16)]) {
			line = strings.TrimSpace(line)
			key, _, _ := strings.Cut(line, ":")
			if ptcpdump && slices.Contains(hiddenKeys, key) {
				break // and what follows: the value may have more than one line
			}
			if line == "" {
				continue
			}
			if of += len(line); of > mostRemark {
				line = line[:max(len(line)-(of-mostRemark), 0)]
				for len(line) > 0 && !utf8.RuneStart(line[len(line)-1]) {
					line = line[:len(line)-1]
				}
				if len(line) > 0 {
					line = line[:len(line)-1]
				}
				return strings.Join(append(lines, line+"…"), "; "), false
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; "), true
}

// hiddenKeys are not shown of ptcpdump's comments.
var hiddenKeys = []string{"Args", "ParentArgs", "ContainerLabels", "PodLabels", "PodAnnotations"}

// pidLine is a line of ptcpdump's, before which somebody else may have written.
var pidLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^[ \t]*PID:[ \t]*\d+[ \t\r]*$`) })

// isPtcpdump reports whether ptcpdump writes comments such as this one: lines of a name and a
// value, of which the first names a kind of thing.
func isPtcpdump(comment string) bool {
	key, _, ok := strings.Cut(strings.TrimSpace(comment), ": ")
	return ok && slices.Contains([]string{"PID", "ThreadId", "UserId", "ParentPID", "ContainerName", "PodName"}, key)
}

// ownInterface matches the names of interfaces that lead out of the host that captures, or back to it: network
// cards, what bonds them, and the loopback. Behind others are containers and virtual machines: what
// is inbound there is sent by a process of that host, so that the direction does not tell whose
// process a comment names. Names are many, so one that is not known here is taken for such.
var ownInterface = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(lo\d*|eth\d.*|en\d+|en[opsx][0-9a-f].*|em\d.*|bond\d.*|wl.*|ib\d.*|Ethernet.*|Wi-Fi.*)$`)
})

// remarkedProcess is the target's process as ptcpdump names it; nil: none, or it is not sure that
// it is the target's. The process that it names of a packet is the one on its host: of an inbound
// packet the receiver, of an outbound one the sender. Where it is named for both ends of the
// connection, or others are for the same end, none is.
func (f *Finding) remarkedProcess(rs []Remark) *Process {
	var found, other *Process
	for i := range rs {
		r := &rs[i]
		p := ptcpdumpProcess(r.Comments)
		if p == nil || !ownInterface().MatchString(r.Interface) || r.Inbound == r.Outbound || r.Evidence < 0 {
			continue
		}
		of := &found
		if r.Inbound != f.Evidence[r.Evidence].FromLB {
			of = &other
		}
		switch {
		case *of == nil:
			*of = p
		case (*of).PID != p.PID:
			return nil
		}
	}
	if found != nil && other != nil && found.PID == other.PID {
		return nil
	}
	return found
}

// ptcpdumpProcess is the process that ptcpdump's comments name; nil: none.
func ptcpdumpProcess(comments []string) *Process {
	var p Process
	for _, c := range comments {
		if !isPtcpdump(c) {
			continue
		}
		for line := range strings.Lines(strings.TrimSpace(c)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if slices.Contains(hiddenKeys, key) {
				break // what follows may be the rest of an argument
			}
			switch set := func(s *string, most int) {
				if *s == "" && len(value) <= most {
					*s = value
				}
			}; key {
			case "PID":
				if n, err := strconv.ParseUint(value, 10, 31); err == nil && p.PID == 0 {
					p.PID = int(n)
				}
			case "Cmd":
				set(&p.Command, 4096)
			case "ContainerId":
				set(&p.Container, 256)
			case "PodUID":
				set(&p.Pod, 256)
			}
		}
	}
	if p.PID == 0 {
		return nil
	}
	if p.Command != "" {
		p.Name = path.Base(p.Command)
		p.Name = p.Name[:min(len(p.Name), 15)] // as the kernel does
	}
	p.Basis = ByComment
	return &p
}
