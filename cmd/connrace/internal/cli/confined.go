package cli

import "connrace/cmd/connrace/internal/confine"

// Given are the paths that were given.
func Given(paths ...string) (given []string) {
	for _, path := range paths {
		if path != "" && path != "-" {
			given = append(given, path)
		}
	}
	return given
}

// GiveUp gives up the rights that the plan does not need. Only to remain who one is when
// somebody else was asked for is an error.
func (e *Env) GiveUp(p *confine.Plan, warn func(string)) error {
	if !e.Confine {
		return nil
	}
	err := p.GiveUp()
	if err != nil && p.User == "" {
		warn("rights that are not needed could not be given up: " + err.Error())
		return nil
	}
	return err
}

// Restrict puts out of reach what the plan does not name, and says, if it is asked for, what
// holds now.
func (e *Env) Restrict(p *confine.Plan, verbose bool, warn func(string)) {
	if !e.Confine {
		return
	}
	if err := p.Restrict(); err != nil {
		warn("files that were not named could not be put out of reach: " + err.Error())
	}
	if verbose {
		e.Hint("connrace: " + p.String())
	}
}
