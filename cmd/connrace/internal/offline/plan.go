package offline

import (
	"maps"
	"os"
	"slices"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/confine"
)

// plan is what analyze does with files.
func (a *Flags) plan() *confine.Plan {
	p := &confine.Plan{Write: cli.Given(a.packets.evidence, a.HTML.Path)}
	p.Write = append(p.Write, slices.Sorted(maps.Values(a.packets.copies(a.files)))...)
	spools := false
	for _, path := range a.files {
		st, err := os.Stat(path)
		spools = spools || path == "-" || err == nil && !st.Mode().IsRegular()
	}
	if spools && (a.packets.annotate != "" || a.packets.evidence != "" || len(a.files) > 1 && !a.noJoin) {
		p.Write = append(p.Write, os.TempDir()) // see keep
	}
	p.Read = cli.Given(append(append(append(p.Read, a.files...), a.Logs...), a.Baseline)...)
	return p
}
