// Raced finds the tests that are others under the race detector: they look, themselves or by
// what they call, at a constant that a file with "//go:build race" declares. For each package
// that has some it writes a line: its directory, and what go test -run wants to run only them.
//
//	go run ./.ci/raced | while read -r dir tests; do go test -run "$tests" "$dir"; done
//
// What calls what is told by names alone, so that rather a test too many is found than one too
// few.
package main

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := write(os.Stdout, "."); err != nil {
		log.Fatal(err)
	}
}

// write looks at all packages below root. That there are none is an error: somebody relies on
// those that there were.
func write(w io.Writer, root string) error {
	dirs := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			dirs[filepath.Dir(path)] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	found := 0
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		tests, err := dependent(dir)
		if err != nil {
			return err
		}
		if len(tests) > 0 {
			found++
			fmt.Fprintf(w, "./%s ^(%s)$\n", filepath.ToSlash(dir), strings.Join(tests, "|"))
		}
	}
	if found == 0 {
		return fmt.Errorf("no test below %s asks for the race detector", root)
	}
	return nil
}

var isTest = regexp.MustCompile(`^(Test|Fuzz|Example)\P{Ll}`)

// dependent are the tests of a directory that are others under the race detector.
func dependent(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	uses := map[string][]string{} // what is declared → the names in it
	var reached []string
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		raced := onlyRaced(f)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				uses[d.Name.Name] = append(uses[d.Name.Name], names(d)...)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							uses[n.Name] = append(uses[n.Name], names(spec)...)
							if raced {
								reached = append(reached, n.Name)
							}
						}
					case *ast.TypeSpec:
						uses[spec.Name.Name] = append(uses[spec.Name.Name], names(spec)...)
					}
				}
			}
		}
	}
	users := map[string][]string{}
	for n, of := range uses {
		for _, u := range of {
			users[u] = append(users[u], n)
		}
	}
	seen := map[string]bool{}
	for len(reached) > 0 {
		n := reached[len(reached)-1]
		reached = reached[:len(reached)-1]
		if !seen[n] {
			seen[n] = true
			reached = append(reached, users[n]...)
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(seen)), func(n string) bool { return !isTest.MatchString(n) }), nil
}

// onlyRaced tells whether a file is compiled with the race detector, and without it not.
func onlyRaced(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			x, err := constraint.Parse(c.Text)
			with := func(race bool) bool { return x.Eval(func(tag string) bool { return tag != "race" || race }) }
			return err == nil && with(true) && !with(false)
		}
	}
	return false
}

// names are all identifiers in a node.
func names(node ast.Node) []string {
	var all []string
	ast.Inspect(node, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			all = append(all, id.Name)
		}
		return true
	})
	return all
}
