package main

import (
	"io"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/html"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
)

// pageFlags is the flag that writes the report as a page.
type pageFlags struct {
	html string
	file *outfile.File // nil: not asked for
}

func (p *pageFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.html, "html", "", "write the report to `FILE` as a page for a browser: with diagrams,\nin one file, loading nothing")
}

// wrong is what is wrong with the use of the flag for these files; "": nothing.
func (p *pageFlags) wrong(files []string, stdin io.Reader) string {
	if p.html == "-" {
		return "--html needs the name of a file: standard output holds the report"
	}
	for _, f := range files {
		if p.html != "" && sameFile(f, p.html, stdin) {
			return "--html " + p.html + " is a capture; name another file"
		}
	}
	return ""
}

// create begins the file before anything is read, so that one learns at once where it
// cannot be written.
func (p *pageFlags) create(m umask) (err error) {
	if p.html != "" {
		p.file, err = outfile.Create(p.html, outfile.Umask(m))
	}
	return err
}

// write writes the page, and returns the exit code: code, unless writing fails.
func (p *pageFlags) write(e *env, r *report.Report, o *report.Options, code int) int {
	if p.file == nil || len(r.Captures) == 0 {
		return code
	}
	err := html.Write(p.file.Writer(), r, o)
	if err == nil {
		err = p.file.Commit()
	} else {
		err = text.AtPath(p.html, err)
	}
	if err == nil {
		return code
	}
	e.errorf("%v", err)
	if code == exitInterrupted {
		return code
	}
	return exitError
}
