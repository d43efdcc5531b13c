package fill

import (
	"fmt"
	"html/template"
	"io"
	"reflect"
	"text/template/parse"
)

// run is a template at work.
type run struct {
	*Templates
	w    io.Writer
	vars []variable // the newest last
}

type variable struct {
	name  string
	value reflect.Value
}

func (t *Templates) execute(w io.Writer, name string, dot reflect.Value) error {
	tree := t.trees[name]
	if tree == nil {
		return fmt.Errorf("there is no template %q", name)
	}
	r := &run{t, w, []variable{{"$", dot}}}
	if err := r.list(dot, tree.Root); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	return nil
}

func (r *run) list(dot reflect.Value, l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := r.node(dot, n); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) node(dot reflect.Value, n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode:
		_, err := r.w.Write(n.Text)
		return err
	case *parse.ActionNode:
		v, err := r.pipe(dot, n.Pipe)
		if err != nil {
			return err
		}
		if len(n.Pipe.Decl) > 0 {
			r.vars = append(r.vars, variable{n.Pipe.Decl[0].Ident[0], v})
			return nil
		}
		s, err := r.places[n].escape(content(v))
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		_, err = io.WriteString(r.w, s)
		return err
	case *parse.TemplateNode:
		var v reflect.Value
		if n.Pipe != nil {
			var err error
			if v, err = r.pipe(dot, n.Pipe); err != nil {
				return err
			}
		}
		return r.execute(r.w, n.Name, v)
	case *parse.IfNode:
		return r.branch(dot, &n.BranchNode, false)
	case *parse.WithNode:
		return r.branch(dot, &n.BranchNode, true)
	case *parse.RangeNode:
		return r.each(dot, &n.BranchNode)
	}
	return fmt.Errorf("%v is not known here", n)
}

// branch is if and with; with moves the dot.
func (r *run) branch(dot reflect.Value, b *parse.BranchNode, with bool) error {
	defer r.forget(len(r.vars))
	v, err := r.pipe(dot, b.Pipe)
	if err != nil {
		return err
	}
	if len(b.Pipe.Decl) > 0 {
		r.vars = append(r.vars, variable{b.Pipe.Decl[0].Ident[0], v})
	}
	switch {
	case !truth(v):
		return r.list(dot, b.ElseList)
	case with:
		return r.list(v, b.List)
	}
	return r.list(dot, b.List)
}

func (r *run) each(dot reflect.Value, b *parse.BranchNode) error {
	v, err := r.pipe(dot, b.Pipe)
	if err != nil {
		return err
	}
	if v = direct(v); v.Kind() != reflect.Slice {
		return fmt.Errorf("%v is no slice", b.Pipe)
	}
	if v.Len() == 0 {
		return r.list(dot, b.ElseList)
	}
	defer r.forget(len(r.vars))
	for i := range v.Len() {
		r.forget(len(r.vars))
		vars := len(r.vars)
		switch d := b.Pipe.Decl; len(d) {
		case 1:
			r.vars = append(r.vars, variable{d[0].Ident[0], v.Index(i)})
		case 2:
			r.vars = append(r.vars, variable{d[0].Ident[0], reflect.ValueOf(i)}, variable{d[1].Ident[0], v.Index(i)})
		}
		if err := r.list(v.Index(i), b.List); err != nil {
			return err
		}
		r.forget(vars)
	}
	return nil
}

// forget drops variables that are out of sight.
func (r *run) forget(n int) { r.vars = r.vars[:n] }

func (r *run) pipe(dot reflect.Value, p *parse.PipeNode) (reflect.Value, error) {
	args := p.Cmds[0].Args
	f, ok := args[0].(*parse.IdentifierNode)
	if !ok {
		if len(args) > 1 {
			return reflect.Value{}, fmt.Errorf("%v is no function", args[0])
		}
		return r.value(dot, args[0])
	}
	var values []any
	for _, a := range args[1:] {
		v, err := r.value(dot, a)
		if err != nil {
			return v, err
		}
		values = append(values, content(v))
	}
	result, err := r.funcs[f.Ident](values...)
	if err != nil {
		err = fmt.Errorf("%v: %w", p, err)
	}
	return valueOf(result), err
}

func (r *run) value(dot reflect.Value, n parse.Node) (reflect.Value, error) {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.FieldNode:
		return fields(dot, n.Ident)
	case *parse.VariableNode:
		for i := len(r.vars) - 1; i >= 0; i-- {
			if r.vars[i].name == n.Ident[0] {
				return fields(r.vars[i].value, n.Ident[1:])
			}
		}
	case *parse.StringNode:
		return valueOf(n.Text), nil
	case *parse.NumberNode:
		if n.IsInt {
			return valueOf(int(n.Int64)), nil
		}
	case *parse.PipeNode:
		return r.pipe(dot, n)
	}
	return reflect.Value{}, fmt.Errorf("%v is not known here", n)
}

func fields(v reflect.Value, names []string) (reflect.Value, error) {
	for _, name := range names {
		v = direct(v)
		if v.Kind() != reflect.Struct {
			return v, fmt.Errorf(".%s of what is no struct", name)
		}
		t := v.Type()
		f, ok := t.FieldByName(name)
		if !ok || !f.IsExported() {
			return v, fmt.Errorf("%v has no field %s (methods are not called)", t, name)
		}
		var err error
		if v, err = v.FieldByIndexErr(f.Index); err != nil {
			return v, err
		}
	}
	return v, nil
}

// direct is what a pointer or an interface leads to.
func direct(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

func valueOf(x any) reflect.Value { return reflect.ValueOf(x) }

func content(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}

func truth(v reflect.Value) bool {
	yes, _ := template.IsTrue(content(v))
	return yes
}

// builtins are html/template's, of whole numbers.
var builtins = map[string]Func{
	"len": func(args ...any) (any, error) { return reflect.ValueOf(args[0]).Len(), nil },
	"or": func(args ...any) (any, error) {
		for _, a := range args {
			if truth(valueOf(a)) {
				return a, nil
			}
		}
		return args[len(args)-1], nil
	},
	"eq": compare(func(a, b int64) bool { return a == b }),
	"gt": compare(func(a, b int64) bool { return a > b }),
	"lt": compare(func(a, b int64) bool { return a < b }),
}

func compare(holds func(a, b int64) bool) Func {
	return func(args ...any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("two numbers are compared, not %d", len(args))
		}
		a, b := reflect.ValueOf(args[0]), reflect.ValueOf(args[1])
		if !a.CanInt() || !b.CanInt() {
			return nil, fmt.Errorf("%T and %T are not whole numbers", args[0], args[1])
		}
		return holds(a.Int(), b.Int()), nil
	}
}
