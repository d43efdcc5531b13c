package idle

import "testing"

// at is a close of a connection at a time in seconds, by its clocks in seconds; -1: none.
func at(time, gap, out, age float64, nth uint32) Close {
	ns := func(s float64) int64 {
		if s < 0 {
			return -1
		}
		return int64(s * 1e9)
	}
	return Close{Time: ns(time), Known: ns(time), Gap: ns(gap), Out: ns(out), Age: ns(age), Nth: nth, Idle: out < 0}
}

func TestInferLimits(t *testing.T) {
	none := func(int64) int { return 0 }
	slow := func(int64) int { return 50 }
	kind := func(what uint64, cs ...Close) []Close {
		for i := range cs {
			cs[i].What = what
		}
		return cs
	}
	for _, c := range []struct {
		name     string
		own, lb  []Close
		answered func(int64) int
		request  float64
		age      float64
		other    float64 // Uncanceled
		count    uint32
		refused  bool
	}{
		{name: "watchdog", own: []Close{at(10, 3, 2.01, 9, 3), at(20, 9, 2.9, 30, 8), at(30, -1, 2.4, 2.4, 0)}, request: 2.01},
		{name: "two, to 50 ms", own: []Close{at(10, 3, 30.001, 90, 3), at(20, 9, 30.03, 300, 8)}, request: 30.001},
		{name: "two, not so near", own: []Close{at(10, 3, 30.001, 90, 3), at(20, 9, 30.3, 300, 8)}},
		{name: "others are closed upon sooner", own: []Close{at(10, 3, 2.01, 9, 3), at(20, 9, 2.9, 30, 8), at(30, 1, 2.4, 12, 1), at(40, 2, .3, 7, 1), at(41, 2, .5, 7, 2)}},
		{name: "many take longer and are answered", own: []Close{at(10, 3, 2.01, 9, 3), at(20, 9, 2.9, 30, 8), at(30, 1, 2.4, 12, 1)}, answered: slow},
		{name: "one moment", own: []Close{at(10, 3, 2.01, 9, 3), at(10, 9, 2.9, 30, 8), at(10, 1, 2.4, 12, 1)}},
		{name: "killed at random", own: []Close{at(10, 3, .1, 9, 3), at(20, 9, .35, 30, 8), at(30, 1, .9, 12, 1)}},
		{name: "age", own: []Close{at(10, 3, -1, 60.1, 3), at(20, .2, 9, 60, 8), at(30, 31, -1, 60.3, 1)}, age: 60},
		{name: "age with jitter", own: []Close{at(10, 3, -1, 55, 3), at(20, .2, 9, 58, 8), at(30, 31, -1, 60, 1), at(35, 11, -1, 65, 4), at(39, 1, -1, 62, 14)}, age: 55},
		{name: "jitter of three", own: []Close{at(10, 3, -1, 55, 3), at(20, .2, 9, 58, 8), at(30, 31, -1, 65, 1)}},
		{name: "others grow older", own: []Close{at(10, 3, -1, 60.1, 3), at(20, .2, 9, 60, 8), at(30, 31, -1, 60.3, 1)}, lb: []Close{at(50, 9, -1, 300, 70)}},
		{name: "an idle timer behind one request", own: []Close{at(10, 60, -1, 60.1, 1), at(20, 60, -1, 60.1, 1), at(30, 60, -1, 60.1, 1)}},
		{name: "count", own: []Close{at(10, .001, -1, 60.1, 100), at(20, .002, -1, 66, 100), at(30, 0, -1, 70, 100)}, count: 100},
		{name: "each answer", own: []Close{at(10, .001, -1, .1, 1), at(20, .002, -1, .2, 1), at(30, 0, -1, .1, 1)}},
		{name: "some carry more", own: []Close{at(10, .001, -1, 60.1, 100), at(20, .002, -1, 66, 100), at(30, 0, -1, 70, 100)}, lb: []Close{at(40, 2, -1, 70, 101)}},
		{name: "not cancelled", own: []Close{at(10, 5, 3, 60, 3), at(20, 5.01, .5, 22, 8), at(30, 5.02, 1.9, 7, 1)}, other: 5},
		{name: "refused", own: kind(7, at(10, 5, .001, 60, 3), at(20, .1, .001, 22, 8), at(30, 1, .002, 7, 1)), refused: true},
		{name: "met by the idle timer", own: kind(7, at(10, 5, .001, 60, 3), at(20, 5.001, .001, 22, 8), at(30, 5, .002, 7, 1))},
		{name: "twice is no habit", own: kind(7, at(10, 5, .001, 60, 3), at(20, .1, .001, 22, 8))},
	} {
		if c.answered == nil {
			c.answered = none
		}
		l := InferLimits(c.own, MassCloses(c.own), c.lb, c.answered, 20*millisecond)
		for _, x := range []struct {
			what string
			got  *Timer
			want float64
		}{{"request", l.Request, c.request}, {"age", l.Age, c.age}, {"not cancelled", l.Uncanceled, c.other}} {
			got := int64(0)
			if x.got != nil {
				got = x.got.After
			}
			if got != int64(x.want*1e9) {
				t.Errorf("%s: %s: %d", c.name, x.what, got)
			}
		}
		if l.Count != c.count || l.Refused[7] != c.refused {
			t.Errorf("%s: count %d, refused %v", c.name, l.Count, l.Refused)
		}
	}
}

// Two that were closed together are a mass close only where no one timer ends both.
func TestTogether(t *testing.T) {
	for _, c := range []struct {
		name         string
		cs           []Close
		several, two bool
	}{
		{"a worker with three", []Close{at(10, 3, .2, 9, 3), at(10.001, 9, .5, 30, 8), at(10.002, 1, -1, 12, 1)}, true, false},
		{"a worker with two", []Close{at(10, 3, .2, 9, 3), at(10.001, 9, .5, 30, 8)}, false, true},
		{"two idle ones", []Close{at(10, 3, -1, 9, 3), at(10.001, 9, -1, 30, 8)}, false, false},
		{"sent together, given up together", []Close{at(10, 3, 5, 9, 3), at(10.001, 9, 5, 30, 8), at(10.002, -1, 5.01, 5.1, 0)}, false, false},
		{"one timer", []Close{at(10, 5, -1, 9, 3), at(10.001, 5, -1, 30, 8), at(10.002, 5.01, .001, 12, 1)}, false, false},
		{"each like the next one only", []Close{at(10, 3, 4.57, 9, 3), at(10.001, 9, 4.87, 30, 8), at(10.002, 1, 4.27, 12, 1), at(10.003, 2, 3.97, 12, 1)}, true, false},
		{"behind answers", []Close{at(10, .001, -1, 9, 3), at(10.001, .002, -1, 30, 8), at(10.002, 3, -1, 12, 1)}, false, false},
	} {
		var x Closes
		for _, s := range c.cs {
			x.Add(s)
		}
		if m := x.Together(&c.cs[0]); m.Several() != c.several || m.Two() != c.two {
			t.Errorf("%s: several %v, two %v: %+v", c.name, m.Several(), m.Two(), m)
		}
	}
}

// What closes together stands out where so many do not close in other moments: connections that
// are closed one by one meet by chance.
func TestStandsOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		every  int64 // others are closed this often in the second before and after; 0: none are
		n      int
		stands bool
	}{
		{"alone", 0, 1, false},
		{"two, nobody else", 0, 2, true},
		{"two, and some more", 500 * millisecond, 2, false},
		{"five, and some more", 500 * millisecond, 5, true},
		{"three of a busy target", 30 * millisecond, 3, false},
		{"a worker of a busy target", 30 * millisecond, 40, true},
		{"as many as always", 2 * millisecond, 50, false},
	} {
		var x Closes
		at := func(time int64, i int) Close {
			return Close{Time: time, Known: time, Gap: second + int64(i*i)*10*millisecond, Out: -1}
		}
		for time := 9 * second; c.every > 0 && time < 10*second-Moment; time += c.every {
			x.Add(at(time, x.Count))
		}
		for i := range c.n {
			x.Add(at(10*second, i))
		}
		middle := *x.Newest()
		for time := 10*second + Moment + millisecond; c.every > 0 && time < 11*second; time += c.every {
			x.Add(at(time, x.Count))
		}
		if m := x.Together(&middle); m.StandsOut() != c.stands {
			t.Errorf("%s: %v: %+v", c.name, m.StandsOut(), m)
		}
	}
}

// Of how many connections those are that closed is known from how few were left, be it that the last
// of them are none that are kept.
func TestOfAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		open  int32 // before
		n     int32
		fell  int32 // how many are left shortly after
		after int64
		all   bool
	}{
		{"all", 3, 3, 0, 0, true},
		{"a worker's", 40, 3, 37, 0, false},
		{"others had had no request", 40, 3, 1, 100 * millisecond, true},
		{"others were closed later", 40, 3, 1, second, false},
	} {
		var x Closes
		for i := range c.n {
			left := c.open - i - 1
			x.Add(Close{Time: 10 * second, Known: 10 * second, Gap: second << i, Out: -1, Open: left, Left: left})
		}
		x.Fell(10*second+c.after, c.fell)
		if m := x.Together(x.Newest()); m.OfAll() != c.all {
			t.Errorf("%s: %v: %+v", c.name, m.OfAll(), m)
		}
	}
	if m := new(Closes).Together(&Close{}); !m.OfAll() {
		t.Error("of a close that is not kept it is not known that there are others")
	}
}
