package fill

import (
	"bytes"
	"errors"
	"html/template"
	"strings"
	"testing"
	"testing/fstest"
)

// filled is what a template writes, or why it does not.
func filled(text string, data any) (string, error) {
	t, err := ParseFS(fstest.MapFS{"a.html": {Data: []byte(`{{define "a"}}` + text + `{{end}}`)}}, "*.html", nil)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.ExecuteTemplate(&b, "a", data)
	return b.String(), err
}

func oracle(text string, data any) (string, error) {
	t, err := template.New("a").Parse(text)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

type inner struct{ N, Zero int }

type data struct {
	inner
	S, Empty string
	List     []string
	P, None  *inner
	Any      any
	Markup   template.HTML
	Style    template.CSS
	Script   template.JS
	Yes      bool
	Err      error
}

func sample(s string) data {
	return data{
		inner: inner{N: 3}, S: s, List: []string{s, "b", "<c>"}, P: &inner{N: -7}, Any: inner{N: 9}, Markup: "<b>bold</b>",
		Style: "a{b:c}", Script: `x = "<y>"`, Yes: true, Err: errors.New(s),
	}
}

const hostile = "<script>alert('1')</script>\" onload=+x+ &amp; \x00\x1b\xff\u2028 `{{.}}` javascript:0 </title></style>"

// Templates as html/template understands them are filled in as by html/template.
var same = []string{
	`<p>{{.S}} {{.N}} {{.Yes}} {{.Err}} {{.Any}} {{.List}}</p>`,
	`<title>{{.S}}</title>{{.S}}`,
	`<a class="x {{.S}}{{if .Yes}} y{{end}}" data-copy="{{.S}}" aria-label="{{.S}} {{.N}}"{{if .Yes}} open{{end}}>{{.Markup}}</a>`,
	`<a href="#{{.S}}" id="{{.S}}">x</a><a href="#rule-{{.N}}">y</a>`,
	`<style>{{.Style}}</style>{{.S}}<script>{{.Script}}</script>{{.S}}`,
	`<!DOCTYPE html><meta content="{{.S}}"><br><small>{{.S}}</small>`,
	`{{if .Empty}}a{{else if .None}}b{{else}}c{{end}}{{with .P}}{{.N}}{{.Zero}}{{end}}{{with .Empty}}{{.}}{{else}}{{.S}}{{end}}`,
	`{{range .List}}<li>{{.}}</li>{{else}}none{{end}}{{range $i, $x := .List}}{{if lt $i 2}}<td>{{$x}}{{$.S}}</td>{{end}}{{end}}`,
	`{{range $x := .List}}{{$x}}{{end}}{{$k := .N}}{{with .S}}{{$k}}{{if $k}}{{$k := 1}}{{$k}}{{end}}{{$k}}{{end}}`,
	`{{with $y := .P}}{{$y.N}}{{end}}{{.P.N}} {{.Any.N}} {{$.P.N}}`,
	`{{or .Empty "<none>"}} {{if or .Empty .Zero .S}}x{{end}} {{len .List}} {{if eq .N 3}}e{{end}}{{if gt .N 0}}g{{end}}{{if eq (len .List) 3}}3{{end}}`,
	`{{- /* nothing */ -}} <p> {{- .S -}} </p>`,
}

func TestAsHTMLTemplate(t *testing.T) {
	for _, text := range same {
		for _, s := range []string{"plain", hostile} {
			want, err := oracle(text, sample(s))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := filled(text, sample(s)); err != nil || got != want {
				t.Errorf("%s\n%q, %v, not\n%q", text, got, err, want)
			}
		}
	}
}

func FuzzAsHTMLTemplate(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		text := strings.Join(same[:6], "\n")
		want, err := oracle(text, sample(s))
		if err != nil {
			t.Skip()
		}
		if got, err := filled(text, sample(s)); err != nil || got != want {
			t.Errorf("%q, %v, not\n%q", got, err, want)
		}
	})
}

// What stands where it is not known to be safe is refused, and so is what is not understood.
func TestRefused(t *testing.T) {
	for text, why := range map[string]string{
		`<p {{.S}}>`:                      "safely",
		`<p {{.S}}="x">`:                  "safely",
		`<p class={{.S}}>`:                "without quotes",
		`<p class='{{.S}}'>`:              "without quotes",
		`<p class=x title="{{.S}}">`:      "without quotes",
		`<a href="{{.S}}">`:               "safely",
		`<a href="https://x/#{{.S}}">`:    "safely",
		`<a href="{{.S}}#x">`:             "safely",
		`<img src="{{.S}}">`:              "safely",
		`<p onclick="{{.S}}">`:            "safely",
		`<p data-onclick="{{.S}}">`:       "safely",
		`<p style="{{.S}}">`:              "safely",
		`<form action="{{.S}}">`:          "safely",
		`<p ="{{.S}}">`:                   "without a name",
		`<{{.S}}>`:                        "no tag",
		`<!-- {{.S}} -->`:                 "no tag",
		`<script>{{.S}}</script>`:         "cannot stand there",
		`<style>{{.S}}</style>`:           "cannot stand there",
		`<title>{{.Markup}}</title>`:      "cannot stand there",
		`<p class="{{.Markup}}">`:         "cannot stand there",
		`<script>{{.Markup}}</script>`:    "cannot stand there",
		`<p{{if .Yes}} class="{{end}}x">`: "does not end where it begins",
		`{{range .List}}<p{{end}}`:        "does not end where it begins",
		`<p class="`:                      "ends within a tag",
		`<p {{template "a" .}}>`:          "within a tag",
		`{{.S | len}}`:                    "several commands",
		`{{break}}`:                       "outside",
		`{{.Error}}`:                      "no field Error",
		`{{.None.N}}`:                     "no struct",
		`{{range .S}}{{end}}`:             "no slice",
		`{{eq .S "x"}}`:                   "whole numbers",
		`{{template "b"}}`:                "no template",
	} {
		if got, err := filled(text, sample("x")); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %q, %v; want an error with %q", text, got, err, why)
		}
	}
}
