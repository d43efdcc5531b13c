// Package fill fills in templates of HTML. They are html/template's, as far as a page needs
// it: fields and a few functions, no methods. A program that may call methods whose names come
// at run time, as html/template does, keeps every exported method of all that is linked.
//
// Where an action stands decides how it is escaped, as html/template decides, and tests hold
// every byte to that. What the few rules here cannot decide is an error when templates are read.
package fill

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"text/template/parse"
)

// Func is a function that templates may call.
type Func func(args ...any) (any, error)

// Templates are templates by their names.
type Templates struct {
	trees  map[string]*parse.Tree
	places map[*parse.ActionNode]place
	funcs  map[string]Func
}

// ParseFS reads what files that fit the pattern define.
func ParseFS(files fs.FS, pattern string, funcs map[string]Func) (*Templates, error) {
	t := &Templates{trees: map[string]*parse.Tree{}, places: map[*parse.ActionNode]place{}, funcs: maps.Clone(builtins)}
	maps.Copy(t.funcs, funcs)
	names, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, err
	}
	known := map[string]any{}
	for name := range t.funcs {
		known[name] = true
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		trees, err := parse.Parse(name, string(b), "", "", known)
		if err != nil {
			return nil, err
		}
		maps.Copy(t.trees, trees)
	}
	for name, tree := range t.trees {
		if err := t.check(tree); err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
	}
	return t, nil
}

// check finds the place of every action, and refuses what ExecuteTemplate does not know.
func (t *Templates) check(tree *parse.Tree) error {
	end, err := t.list(tree.Root, position{})
	if err == nil && end != (position{}) {
		err = fmt.Errorf("it ends within a tag")
	}
	return err
}

// list follows the position through nodes.
func (t *Templates) list(l *parse.ListNode, at position) (position, error) {
	if l == nil {
		return at, nil
	}
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode:
			at, err = at.after(string(n.Text))
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				t.places[n] = at.place
				if at.place == inTag || at.place == inOther {
					err = fmt.Errorf("%v stands where nothing can be put safely", n)
				}
			}
			err = first(err, single(n.Pipe))
		case *parse.TemplateNode:
			if at != (position{}) {
				err = fmt.Errorf("%v stands within a tag", n)
			}
			if n.Pipe != nil {
				err = first(err, single(n.Pipe))
			}
		case *parse.IfNode:
			at, err = t.branches(&n.BranchNode, at)
		case *parse.WithNode:
			at, err = t.branches(&n.BranchNode, at)
		case *parse.RangeNode:
			at, err = t.branches(&n.BranchNode, at)
		default:
			err = fmt.Errorf("%v is not known here", n)
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// branches must all end where they began: one of them may be left out, or come again.
func (t *Templates) branches(b *parse.BranchNode, at position) (position, error) {
	err := single(b.Pipe)
	for _, l := range []*parse.ListNode{b.List, b.ElseList} {
		end, e := t.list(l, at)
		if err = first(err, e); err == nil && end != at {
			err = fmt.Errorf("%v does not end where it begins", b.Pipe)
		}
	}
	return at, err
}

// single refuses pipelines of several commands.
func single(p *parse.PipeNode) error {
	if len(p.Cmds) != 1 {
		return fmt.Errorf("%v has several commands", p)
	}
	return nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// ExecuteTemplate writes a template with what it is about.
func (t *Templates) ExecuteTemplate(w io.Writer, name string, data any) error {
	return t.execute(w, name, valueOf(data))
}
