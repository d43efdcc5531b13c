package main

import (
	"os"
	"path/filepath"

	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/metrics"
)

// confining is set by main: tests run commands in a process that has to go on afterwards.
var confining bool

// plan is what live does once the capture is open.
func (l *liveFlags) plan() *confine.Plan {
	p := &confine.Plan{Stay: true, User: l.user, Read: l.logs, Connect: l.export.otlp.url != nil}
	if len(l.targets.unix) > 0 {
		p.Keep = append(p.Keep, confine.SeeSockets)
		for _, path := range l.targets.unix {
			p.Beside = append(p.Beside, filepath.Dir(path))
		}
	}
	for _, path := range l.logs {
		p.Beside = append(p.Beside, filepath.Dir(path)) // it may be rotated until the end
	}
	p.Write = outputs(l.dump.path, l.evidence.dir, l.evidence.annotate, l.page.html)
	if path := metrics.UnixPath(string(l.export.metrics)); path != "" {
		p.Remove = append(p.Remove, path)
	}
	return p
}

// plan is what analyze does with files.
func (a *analyzeFlags) plan(files []string) *confine.Plan {
	p := &confine.Plan{Write: outputs(a.annotate, a.evidence, a.page.html)}
	spools := false
	for _, path := range files {
		st, err := os.Stat(path)
		spools = spools || path == "-" || err == nil && !st.Mode().IsRegular()
	}
	if spools && (a.annotate != "" || a.evidence != "") {
		p.Write = append(p.Write, os.TempDir()) // see keep
	}
	p.Read = outputs(append(append(append(p.Read, files...), a.logs...), a.baseline)...)
	return p
}

// outputs are the paths that were given.
func outputs(paths ...string) (given []string) {
	for _, path := range paths {
		if path != "" && path != "-" {
			given = append(given, path)
		}
	}
	return given
}

// giveUp gives up the rights that the plan does not need. Only to remain who one is when
// somebody else was asked for is an error.
func (e *env) giveUp(p *confine.Plan, warn func(string)) error {
	if !confining {
		return nil
	}
	err := p.GiveUp()
	if err != nil && p.User == "" {
		warn("rights that are not needed could not be given up: " + err.Error())
		return nil
	}
	return err
}

// restrict puts out of reach what the plan does not name, and says, if it is asked for, what
// holds now.
func (e *env) restrict(p *confine.Plan, verbose bool, warn func(string)) {
	if !confining {
		return
	}
	if err := p.Restrict(); err != nil {
		warn("files that were not named could not be put out of reach: " + err.Error())
	}
	if verbose {
		e.hint("connrace: " + p.String())
	}
}
