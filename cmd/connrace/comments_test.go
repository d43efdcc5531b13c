package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Comments name files and members of types that are there.
func TestCommentsNameWhatIsThere(t *testing.T) {
	files := map[string]bool{"read_NAME.go": true, "some_rule.go": true} // in steps to follow
	members := map[string]map[string]bool{}                              // of types and packages
	embedded := map[string]string{}
	var comments []*ast.CommentGroup
	fset := token.NewFileSet()
	add := func(of string, idents ...*ast.Ident) {
		if members[of] == nil {
			members[of] = map[string]bool{}
		}
		for _, i := range idents {
			members[of][i.Name] = true
		}
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		files[filepath.Base(path)] = true
		if err != nil || !strings.HasSuffix(path, ".go") || d.IsDir() {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		comments = append(comments, f.Comments...)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				add(f.Name.Name, n.Name)
				if n.Recv != nil {
					ast.Inspect(n.Recv, func(r ast.Node) bool {
						if of, is := r.(*ast.Ident); is {
							add(of.Name, n.Name)
						}
						return true
					})
				}
			case *ast.TypeSpec:
				add(f.Name.Name, n.Name)
				ast.Inspect(n.Type, func(x ast.Node) bool {
					if field, is := x.(*ast.Field); is {
						add(n.Name.Name, field.Names...)
						if base, is := field.Type.(*ast.Ident); is && field.Names == nil {
							add(n.Name.Name, base)
							embedded[n.Name.Name] = base.Name
						}
					}
					return true
				})
			case *ast.ValueSpec:
				add(f.Name.Name, n.Names...)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	member := regexp.MustCompile(`\b([A-Z]\w+)\.([A-Z]\w+)\b`)
	file := regexp.MustCompile(`\b\w+\.go\b`)
	for _, c := range comments {
		text := c.Text()
		for _, name := range file.FindAllString(text, -1) {
			if !files[name] {
				t.Errorf("%s: there is no %s", fset.Position(c.Pos()), name)
			}
		}
		for _, m := range member.FindAllStringSubmatch(text, -1) {
			if of := members[m[1]]; of != nil && !of[m[2]] && !members[embedded[m[1]]][m[2]] {
				t.Errorf("%s: there is no %s", fset.Position(c.Pos()), m[0])
			}
		}
	}
}
