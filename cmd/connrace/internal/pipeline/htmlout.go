package pipeline

import (
	"io"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/html"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
)

// Page is the flag that writes the report as a page.
type Page struct {
	Path string
	File *outfile.File // nil: not asked for
}

// Add adds the flag.
func (p *Page) Add(fs *pflag.FlagSet) {
	fs.StringVar(&p.Path, "html", "", "write the report to `FILE` as a page for a browser: with diagrams,\nin one file, loading nothing")
}

// Wrong is what is wrong with the use of the flag for these files; "": nothing.
func (p *Page) Wrong(files []string, stdin io.Reader) string {
	if p.Path == "-" {
		return "--html needs the name of a file: standard output holds the report"
	}
	for _, f := range files {
		if p.Path != "" && SameFile(f, p.Path, stdin) {
			return "--html " + p.Path + " is a capture; name another file"
		}
	}
	return ""
}

// Create begins the file before anything is read, so that one learns at once where it
// cannot be written.
func (p *Page) Create(m cli.Umask) (err error) {
	if p.Path != "" {
		p.File, err = outfile.Create(p.Path, outfile.Umask(m))
	}
	return err
}

// Write writes the page, and returns the exit code: code, unless writing fails.
func (p *Page) Write(e *cli.Env, r *report.Report, o *report.Options, code int) int {
	if p.File == nil || len(r.Captures) == 0 {
		return code
	}
	err := html.Write(p.File.Writer(), r, o)
	if err == nil {
		err = p.File.Commit()
	} else {
		err = text.AtPath(p.Path, err)
	}
	if err == nil {
		return code
	}
	e.Errorf("%v", err)
	if code == cli.ExitInterrupted {
		return code
	}
	return cli.ExitError
}
