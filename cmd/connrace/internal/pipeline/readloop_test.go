package pipeline

import "testing"

func TestAheadWorthwhile(t *testing.T) {
	for _, c := range []struct {
		trial
		want bool
	}{
		{trial{reading: 10, working: 10, waiting: 2}, true},
		{trial{reading: 10, working: 10, waiting: 7}, false},
		{trial{reading: 10, working: 1, waiting: 9}, false},
		{trial{reading: 1, working: 10, waiting: 0}, false},
		{trial{reading: 4, working: 10, waiting: 0}, true},
	} {
		if c.worthwhile() != c.want {
			t.Errorf("%+v: worthwhile %t", c.trial, !c.want)
		}
	}
}
