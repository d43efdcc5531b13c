package detect_test

import (
	"fmt"

	"connrace/detect"
	"connrace/pcaps"
)

// The segments of a capture go in, findings come out.
func Example() {
	script, err := pcaps.Load("fin-request-crossing")
	if err != nil {
		fmt.Println(err)
		return
	}
	d := detect.New(detect.Options{})
	d.Segments(script.Segments())
	for _, f := range d.Finish().Findings {
		fmt.Printf("%s %s: %s\n", f.Severity, f.Rule.ID, f.Summary)
		for _, e := range f.Evidence {
			fmt.Printf("  frame %d: %s\n", e.Frame, e.Note)
		}
	}
	// Output:
	// error fin-request-crossing: the target's FIN (frame 7) and the load balancer's request (frame 8) crossed: neither had seen the other, after 5 s idle
	//   frame 7: FIN: the target had not seen the request
	//   frame 8: first byte of the request
	//   frame 9: reply RST: no socket for this any more
	//   frame 10: the load balancer closes its side
	//   frame 11: reply RST: no socket for this any more
}
