package detect

import (
	"reflect"
	"strings"
	"testing"
)

// TestTraits ranges over all rules and all their fields: each is set, or its zero value
// means something and the other fields agree with it.
func TestTraits(t *testing.T) {
	// Of these the zero value says something by itself.
	zeroable := "Severity Mildest Lost About Race Crossed LBKnew Partial FollowsClose Queue IfFull IfLossy SameFix Shared IfStopped Gone Large Streams Tells LBsAfter Learnt AnyProtocol Probing Repeated Lasting Settle Recovered advise"
	for _, r := range Rules {
		v := reflect.ValueOf(*r)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch {
			case !v.Field(i).IsZero(), strings.Contains(" "+zeroable+" ", " "+name+" "):
			case (name == "Behind" || name == "Logs") && r.About == AboutTarget: // no try of the LB
			default:
				t.Errorf("%s: no %s", r.ID, name)
			}
		}
		for what, wrong := range map[string]bool{
			"a race is about a connection and loses requests":         r.Race && (r.About != AboutConnection || r.Lost != LostAlways || r.FollowsClose != AnyClose),
			"what crossed is a race":                                  r.Crossed && !r.Race,
			"what the LB knew is that of a race":                      r.LBKnew && (!r.Race || r.Crossed),
			"what is lost in part is about a connection":              r.Partial && (r.About != AboutConnection || r.Lost == LostNever),
			"only a connection's close has causes":                    r.FollowsClose != NoClose && r.About != AboutConnection,
			"the LB learns of the target's close from it":             r.FollowsClose != NoClose && r.Learnt != ByClose,
			"what may be a full queue becomes a rule that says it is": (r.Queue == MaybeFull) != (r.IfFull != nil),
			"the rule that it becomes says that the queue was full":   r.IfFull != nil && (r.IfFull.Queue != FullForSYNs || r.IfFull.About != r.About),
			"SYNs belong to a handshake":                              (r.Queue == MaybeFull || r.Queue == FullForSYNs) && r.About != AboutHandshake,
			"ignored segments show nothing to the LB":                 r.Ignored() && r.Learnt != BySilence,
			"a problem is shown under one rule":                       r.SameFix != nil && (r.SameFix == r || r.SameFix.SameFix != nil),
			"what has the same fix is shared alike":                   r.SameFix != nil && r.SameFix.Shared != r.Shared,
			"only a handshake meets a target that has stopped":        r.IfStopped && (r.About != AboutHandshake || r.Shared == NotShared),
			"only a whole host is gone":                               r.Gone != nil && r.Shared != SharedByHost,
			"what is lost for its size is lost in silence":            r.Large != nil && r.Learnt != BySilence,
			"only a connection recovers":                              r.Recovered != nil && r.About != AboutConnection,
			"a timer's note says something":                           r.Timer.Head == "" && r.Timer.Also != TimerPatience,
			"a timer's note is a sentence":                            r.Timer.Text != "" && !strings.HasSuffix(r.Timer.Text, "."),
			"a lost try is in a log":                                  r.Lost != LostNever && r.Behind == 0,
			"what may be a probe may be an info":                      r.Probing && r.Mildest != Info,
			"only what is about a target is reviewed":                 r.Lasting && r.About != AboutTarget,
			"a target as a whole loses nothing":                       r.About == AboutTarget && (r.Lost != LostNever || r.Behind != 0),
		} {
			if wrong {
				t.Errorf("%s: %s", r.ID, what)
			}
		}
		for _, o := range []*Rule{r.IfFull, r.SameFix} {
			if o != nil && Lookup(o.ID) != o {
				t.Errorf("%s: %s is not in Rules", r.ID, o.ID)
			}
		}
	}
	// Each kind of failure in a log has rules that can be behind it.
	for b := LogClosed; b <= LogClientGone; b <<= 1 {
		n := 0
		for _, r := range Rules {
			if r.Behind&b != 0 {
				n++
			}
		}
		if n == 0 {
			t.Errorf("no rule can be behind log failure %#x", b)
		}
	}
}
