package html

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
)

// parcelSize is how many findings are packed together. The script unpacks a parcel when
// one of them is wanted.
const parcelSize = 100

// index is what the script must know of each finding to search and to find it.
type index struct {
	Groups []int      `json:"groups"` // findings of each group in the page
	Rows   []indexRow `json:"rows"`   // group by group
}

type indexRow struct {
	ID     int    `json:"id"`
	Grade  string `json:"grade"`
	Target string `json:"target"`
	Text   string `json:"text"`
	Parcel int    `json:"parcel"` // -1: plain
	Place  int    `json:"place"`  // in the parcel
}

// writeParcels writes the findings that are not plain, and the index, as elements of data:
// JSON, compressed, in letters that mean nothing to HTML. A parcel is a list of rows as
// HTML, by the same template as the plain ones.
func (fs *findings) writeParcels(w io.Writer, t filler) error {
	if len(fs.Groups) == 0 {
		return nil
	}
	var ix index
	var parcel []string
	parcels := 0
	flush := func() error {
		if len(parcel) == 0 {
			return nil
		}
		err := pack(w, "parcel", parcel)
		parcel = parcel[:0]
		parcels++
		return err
	}
	var b bytes.Buffer
	for _, g := range fs.Groups {
		ix.Groups = append(ix.Groups, g.kept)
		for i, f := range g.all[:g.kept] {
			r := indexRow{ID: f.id, Grade: f.Severity.String(), Target: f.At(), Text: fs.p.text(f), Parcel: -1, Place: i}
			if i >= g.plain {
				r.Parcel, r.Place = parcels, len(parcel)
				x := fs.p.row(f)
				b.Reset()
				if err := t.ExecuteTemplate(&b, "finding", &x); err != nil {
					return err
				}
				parcel = append(parcel, b.String())
				if len(parcel) == parcelSize {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			ix.Rows = append(ix.Rows, r)
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return pack(w, "index", ix)
}

// pack writes an element of data. Its type keeps browsers from running it.
func pack(w io.Writer, class string, v any) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(w, `<script type="application/gzip" class="`+class+`">`+
		base64.RawURLEncoding.EncodeToString(b.Bytes())+"</script>\n")
	return err
}
