package pcaps

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed scripts/*.txt
var scripts embed.FS

// Corpus are all scripts, in the order of their names: rule, then what it shows.
var Corpus = sync.OnceValues(func() ([]*Script, error) {
	names, err := fs.Glob(scripts, "scripts/*.txt")
	if err != nil {
		return nil, err
	}
	var out []*Script
	for _, n := range names {
		text, err := scripts.ReadFile(n)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(path.Base(n), ".txt"), text)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
})

// Load is the script of a name in the corpus.
func Load(name string) (*Script, error) {
	all, err := Corpus()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no script %s", name)
}
