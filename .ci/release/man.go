package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

var (
	commandLine    = regexp.MustCompile(`^  (\w+) +(\S.*)$`)
	flagLine       = regexp.MustCompile(`^ +((?:-\w, )?--[\w-]+(?: \S+)?)(?: {2,}(.*))?$`)
	synopsis       = regexp.MustCompile(`(?s)\.SH SYNOPSIS\n.*?\.fi\n`)
	emptyParagraph = regexp.MustCompile(`(\.SH [A-Z ]+\n)\.PP\n`)
	heading        = regexp.MustCompile(`^[A-Z][\w ]*:$`)
)

// manual makes manual pages of what the program's own help says: one of the program, one of
// each command.
func manual(program, version string, date time.Time) (pages []file, err error) {
	help := func(args ...string) (string, error) {
		b, err := exec.Command(program, append([]string{"help"}, args...)...).Output()
		return string(b), err
	}
	top, err := help()
	if err != nil {
		return nil, err
	}
	_, list, _ := strings.Cut(top, "\nCommands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	page := func(name, short, text, also string) {
		head := fmt.Sprintf(".TH %s 1 %s \"connrace %s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), date.Format("2006-01-02"), version, roff(name), roff(short))
		pages = append(pages, file{name: name + ".1", mode: 0o644, data: []byte(head + body(text) + also)})
	}
	var also []string
	for line := range strings.SplitSeq(list, "\n") {
		m := commandLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("the help's list of commands has the line %q", line)
		}
		text, err := help(m[1])
		if err != nil {
			return nil, err
		}
		page("connrace-"+m[1], m[2], text, ".SH SEE ALSO\n.BR connrace (1)\n")
		also = append(also, ".BR connrace\\-"+m[1]+" (1)")
	}
	page("connrace", "tell from packet captures why a load balancer answered 502", top, ".SH SEE ALSO\n"+strings.Join(also, ",\n")+"\n")
	return pages, nil
}

// body is a help text as a page: its headings become sections, its flags a list, what is
// indented stays as it is.
func body(help string) string {
	var b strings.Builder
	b.WriteString(".SH DESCRIPTION\n")
	verbatim, options := false, false
	literal := func(on bool) {
		if on != verbatim {
			b.WriteString(map[bool]string{true: ".PP\n.nf\n", false: ".fi\n"}[on])
		}
		verbatim = on
	}
	for line := range strings.SplitSeq(strings.TrimRight(help, "\n"), "\n") {
		flag := flagLine.FindStringSubmatch(line)
		switch {
		case heading.MatchString(line):
			literal(false)
			options = line == "Flags:"
			name, known := map[string]string{"Flags:": "OPTIONS", "Usage:": "SYNOPSIS"}[line]
			if !known {
				name = strings.ToUpper(strings.TrimSuffix(line, ":"))
			}
			b.WriteString(".SH " + name + "\n")
		case options && flag != nil:
			b.WriteString(".TP\n.B " + roff(flag[1]) + "\n")
			if flag[2] != "" {
				b.WriteString(roff(flag[2]) + "\n")
			}
		case line == "":
			literal(false)
			b.WriteString(".PP\n")
			if options {
				b.WriteString(".SH NOTES\n")
			}
			options = false
		case options:
			b.WriteString(roff(strings.TrimSpace(line)) + "\n")
		case strings.HasPrefix(line, "  "):
			literal(true)
			b.WriteString(roff(line) + "\n")
		default:
			literal(false)
			b.WriteString(roff(line) + "\n")
		}
	}
	literal(false)
	page := strings.ReplaceAll(b.String(), ".PP\n.SH", ".SH")
	page = strings.ReplaceAll(page, ".SH NOTES\n.SH", ".SH")
	page = emptyParagraph.ReplaceAllString(page, "$1")
	// The synopsis comes first.
	if m := synopsis.FindStringIndex(page); m != nil {
		page = page[m[0]:m[1]] + page[:m[0]] + page[m[1]:]
	}
	return page
}

// roff escapes what has a meaning for roff.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
