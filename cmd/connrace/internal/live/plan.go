package live

import (
	"path/filepath"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/metrics"
)

// plan is what live does once the capture is open.
func (l *Flags) plan() *confine.Plan {
	p := &confine.Plan{Stay: true, User: l.user, Read: l.Logs, Connect: l.export.otlp.url != nil}
	if len(l.targets.unix) > 0 {
		p.Keep = append(p.Keep, confine.SeeSockets)
		for _, path := range l.targets.unix {
			p.Beside = append(p.Beside, filepath.Dir(path))
		}
	}
	for _, path := range l.Logs {
		p.Beside = append(p.Beside, filepath.Dir(path)) // it may be rotated until the end
	}
	p.Write = cli.Given(l.dump.path, l.evidence.dir, l.evidence.annotate, l.HTML.Path)
	if path := metrics.UnixPath(string(l.export.metrics)); path != "" {
		p.Remove = append(p.Remove, path)
	}
	return p
}
