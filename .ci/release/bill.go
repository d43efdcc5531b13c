package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// component is a module in a bill of materials. https://cyclonedx.org/docs/1.6/json
type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
}

// bill writes which modules are linked into the programs, as these themselves say.
func (r *release) bill(programs []string) error {
	found := map[string]component{}
	for _, p := range programs {
		info, err := buildinfo.ReadFile(p)
		if err != nil {
			return err
		}
		add := func(path, version string) {
			found[path] = library(path, version)
		}
		add("stdlib", strings.TrimPrefix(info.GoVersion, "go"))
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add(m.Path, m.Version)
		}
	}
	var modules []component
	var refs []string
	for _, c := range found {
		modules = append(modules, c)
	}
	slices.SortFunc(modules, func(a, b component) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range modules {
		refs = append(refs, c.Ref)
	}
	product := component{"application", "connrace", "connrace", r.version, "pkg:generic/connrace@" + url.PathEscape(r.version)}
	b, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":     map[string]any{"timestamp": r.date.Format(time.RFC3339), "component": product},
		"components":   modules,
		"dependencies": []map[string]any{{"ref": product.Ref, "dependsOn": refs}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return r.write(fmt.Sprintf("connrace_%s.cdx.json", r.version), append(b, '\n'))
}

func library(path, version string) component {
	purl := "pkg:golang/" + path + "@" + url.PathEscape(version)
	return component{"library", purl, path, version, purl}
}
