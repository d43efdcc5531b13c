package html

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"connrace/cmd/connrace/internal/text"
)

func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := startBrowser(t)
	for _, c := range []struct {
		name string
		test func(*browser)
	}{
		{"ladder", testLadder},
		{"joined", testJoined},
		{"filter", testFilter},
		{"copy", testCopy},
		{"ticket", testTicket},
		{"theme", testTheme},
		{"keyboard", testKeyboard},
		{"contrast", testContrast},
		{"narrow", testNarrow},
		{"print", testPrint},
		{"hostile", testHostile},
		{"many", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := b
			outer := b.t
			sub.t = t
			defer func() { sub.t = outer }()
			c.test(sub)
			sub.quiet()
		})
	}
}

const shown = `[...document.querySelectorAll(".group:not([hidden]) .finding")]`

func testLadder(b *browser) {
	b.open(sample(20))
	if got := eval[string](b, `document.querySelector("h1").textContent`); got != "20 of 200 requests got no answer, and 2 connections failed" {
		b.t.Error(got)
	}
	// The first is unfolded, for the reader to see one; a click unfolds another.
	if !eval[bool](b, `document.querySelector("#f1").open && !document.querySelector("#f3").open`) {
		b.t.Error("not the first finding is unfolded")
	}
	b.do(chromedp.Click(chromedp.CSS("#f3 > summary")))
	size := eval[map[string]float64](b, `(({width, height}) => ({width, height}))(document.querySelector("#f3 .ladder").getBoundingClientRect())`)
	if size["width"] < 600 || size["height"] < 200 {
		b.t.Errorf("the ladder is %v", size)
	}
	if got := eval[string](b, `document.querySelector("#f3 .seg.lost .what").textContent`); got != "GET /r/1?secret=1" {
		b.t.Errorf("the lost request is %q", got)
	}
	if n := eval[int](b, `document.querySelectorAll("#f3 .seg.lost .way").length`); n != 1 {
		b.t.Errorf("%d arrows are lost requests", n)
	}
	b.apart("#f3")
	// A link from the timeline unfolds what it leads to.
	b.do(chromedp.Evaluate[chromedp.Void](`location.hash = "#f8"`))
	b.until(`document.querySelector("#f8").open && document.activeElement.closest("#f8")`)
	b.do(chromedp.Evaluate[chromedp.Void](`location.hash = "#rule-syn-dropped"`))
	b.until(`document.querySelector("#rule-syn-dropped").open`)
}

// apart checks that in a finding's drawing no text runs into another or out of it.
func (b *browser) apart(id string) {
	b.t.Helper()
	if got := eval[string](b, `(() => {
		const box = document.querySelector("`+id+` .ladder").getBoundingClientRect();
		const rows = [...document.querySelectorAll("`+id+` .ladder :is(.frame, .time, .note, .guess, .gone, .end, .addr)")].filter((t) => t.tagName === "text");
		for (const [i, t] of rows.entries()) {
			const a = t.getBoundingClientRect();
			if (a.left < box.left - 1 || a.right > box.right + 1 || a.bottom > box.bottom + 1) return "outside: " + t.textContent;
			for (const u of rows.slice(i + 1)) {
				const c = u.getBoundingClientRect();
				if (a.left < c.right - 1 && c.left < a.right - 1 && a.top < c.bottom - 3 && c.top < a.bottom - 3) return t.textContent + " on " + u.textContent;
			}
		}
		return "";
	})()`); got != "" {
		b.t.Error(got)
	}
}

func testJoined(b *browser) {
	r, _ := joinedSample()
	b.open(r)
	b.apart("#f1")
}

// set fills a field of the filter in as a reader would.
func (b *browser) set(id, value string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const f = document.getElementById(%q);
		f.value = %q;
		f.dispatchEvent(new Event("input", {bubbles: true}));
	})()`, id, value)))
}

func testFilter(b *browser) {
	b.open(sample(20))
	count := func(want string, n int) {
		b.t.Helper()
		b.until(fmt.Sprintf(`document.querySelector("#count").textContent === %q`, want))
		if got := eval[int](b, shown+".length"); got != n {
			b.t.Errorf("%s: %d rows", want, got)
		}
	}
	count("22 findings", 22)
	b.set("by-rule", "syn-dropped")
	count("2 of 22 findings", 2)
	b.set("by-rule", "")
	b.set("by-target", "10.0.1.9:8080")
	count("20 of 22 findings", 20)
	b.set("by-grade", "warning")
	count("0 of 22 findings", 0)
	b.do(chromedp.Click(chromedp.CSS(`#filter button[type=reset]`)))
	count("22 findings", 22)
	b.do(chromedp.SendKeys(chromedp.CSS("#by-text"), "GET /r/7 FRAME"))
	count("1 of 22 findings", 1)
	if id := eval[string](b, shown+"[0].id"); id != "f9" {
		b.t.Errorf("found %s", id)
	}
	b.set("by-text", "<script>")
	count("0 of 22 findings", 0)
}

func testCopy(b *browser) {
	b.open(sample(2))
	const filter = "tcp.stream in {1,1000001}"
	const button = `#f1 .copy[data-copy^="tcp.stream"]`
	click := func() {
		b.t.Helper()
		b.do(chromedp.Click(chromedp.CSS(button)))
	}
	said := func(want string) {
		b.t.Helper()
		b.until(fmt.Sprintf(`document.querySelector(%q).textContent === %q`, button, want))
	}
	b.do(chromedp.Evaluate[chromedp.Void](`Object.defineProperty(navigator, "clipboard", {configurable: true, value: {writeText: async (s) => { window.copied = s; }}})`))
	click()
	said("Copied")
	if got := eval[string](b, "window.copied"); got != filter {
		b.t.Errorf("copied %q", got)
	}
	// Without the right to write to the clipboard, as it may be on a page from disk.
	b.do(chromedp.Evaluate[chromedp.Void](`window.copied = "";
		document.addEventListener("copy", () => { window.copied = document.activeElement.value; });
		Object.defineProperty(navigator, "clipboard", {value: {writeText: async () => { throw new Error("NotAllowed"); }}})`))
	b.until(fmt.Sprintf(`document.querySelector(%q).textContent === "Copy"`, button))
	click()
	said("Copied")
	if got := eval[string](b, "window.copied"); got != filter {
		b.t.Errorf("copied the old way: %q", got)
	}
	// Without any: the reader finds it selected.
	b.do(chromedp.Evaluate[chromedp.Void](`document.execCommand = () => false`))
	b.until(fmt.Sprintf(`document.querySelector(%q).textContent === "Copy"`, button))
	click()
	said("Selected")
	if got := eval[string](b, "getSelection().toString()"); got != filter {
		b.t.Errorf("selected %q", got)
	}
}

// testTicket copies a problem as plain text.
func testTicket(b *browser) {
	b.open(sample(2))
	b.do(chromedp.Evaluate[chromedp.Void](`Object.defineProperty(navigator, "clipboard", {configurable: true, value: {writeText: async (s) => { window.copied = s; }}})`))
	b.do(chromedp.Click(chromedp.CSS(".ticket .copy")))
	b.until(`document.querySelector(".ticket .copy").textContent === "Copied"`)
	if got := eval[string](b, "window.copied"); !strings.Contains(got, "\n  fix    Raise the target's keep-alive timeout") {
		b.t.Errorf("copied %q", got)
	}
	b.until(`document.querySelector(".ticket .copy").textContent === "Copy for the ticket"`)
	// Without a clipboard the reader finds it unfolded and selected.
	b.do(chromedp.Evaluate[chromedp.Void](`document.execCommand = () => false;
		Object.defineProperty(navigator, "clipboard", {value: {writeText: async () => { throw new Error("NotAllowed"); }}})`))
	b.do(chromedp.Click(chromedp.CSS(".ticket .copy")))
	b.until(`document.querySelector(".ticket .copy").textContent === "Selected"`)
	if got := eval[string](b, "getSelection().toString()"); !strings.Contains(got, "Raise the target's keep-alive timeout") {
		b.t.Errorf("selected %q", got)
	}
}

func testTheme(b *browser) {
	bright := func() float64 {
		return eval[float64](b, `getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).slice(0, 3).reduce((a, x) => a + Number(x), 0) / 765`)
	}
	b.scheme("dark")
	b.open(sample(2))
	if v := bright(); v > 0.2 || !eval[bool](b, `document.querySelector("#theme").textContent === "Switch to light"`) {
		b.t.Errorf("in the dark the page is %v bright", v)
	}
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	if v := bright(); v < 0.8 || !eval[bool](b, `document.querySelector("#theme").textContent === "Switch to dark"`) {
		b.t.Errorf("switched to light it is %v bright", v)
	}
	b.scheme("light")
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	if v := bright(); v > 0.2 {
		b.t.Errorf("switched to dark it is %v bright", v)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`localStorage.clear()`))
}

func testKeyboard(b *browser) {
	b.open(sample(2))
	b.do(chromedp.KeyEvent("\t"))
	if got := eval[string](b, `document.activeElement.className`); got != "skip" {
		b.t.Errorf("the first stop is %q", got)
	}
	// What can be reached by Tab, in order, has a name and is seen.
	stops := eval[[]string](b, `[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter((e) => e.tabIndex >= 0 && e.checkVisibility()).map((e) =>
		(e.ariaLabel || e.labels?.[0]?.textContent || e.textContent).trim() || "NAMELESS " + e.outerHTML)`)
	if len(stops) < 20 {
		b.t.Errorf("stops: %q", stops)
	}
	for _, s := range stops {
		if strings.HasPrefix(s, "NAMELESS") {
			b.t.Error(s)
		}
	}
	b.do(chromedp.Focus(chromedp.CSS("#f3 > summary")), chromedp.KeyEvent("\r"))
	b.until(`document.querySelector("#f3").open`)
	// One stop for a lane of the timeline; the arrow keys go from bar to bar.
	b.do(chromedp.Focus(chromedp.CSS(".lane a[tabindex='0']")))
	before := eval[string](b, `document.activeElement.getAttribute("href")`)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	if got := eval[string](b, `document.activeElement.getAttribute("href") + " " + document.querySelectorAll(".lane:first-of-type a[tabindex='0']").length`); got != "#f3 1" || before != "#f1" {
		b.t.Errorf("from %s to %s", before, got)
	}
	for _, what := range []string{"header", "nav", "main", "footer", "h1", "[role=search]", "[role=status]"} {
		if n := eval[int](b, fmt.Sprintf(`document.querySelectorAll("body > %[1]s, main %[1]s, %[1]s").length`, what)); n == 0 {
			b.t.Errorf("no %s", what)
		}
	}
	if got := eval[string](b, `(() => {
		let level = 0;
		for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
			const n = Number(h.tagName[1]);
			if (n > level + 1) return h.outerHTML;
			level = n;
		}
		const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
		return ids.filter((id, i) => ids.indexOf(id) !== i).join();
	})()`); got != "" {
		b.t.Errorf("headings or ids: %s", got)
	}
}

// contrast finds texts that stand out too little (WCAG 2.2 §1.4.3).
const contrast = `(() => {
	const rgb = (s) => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
	const light = (c) => c.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((a, v, i) => a + v * [.2126, .7152, .0722][i], 0);
	const back = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
	const bad = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest("script, style, title, .skip, .hidden")) continue;
		const s = getComputedStyle(e);
		const ink = rgb(e.namespaceURI.endsWith("svg") ? s.fill : s.color);
		const [a, b] = [light(ink), light(back(e))].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) bad.add(ratio.toFixed(2) + " " + e.tagName + "." + (e.className.baseVal ?? e.className) + " " + walk.currentNode.data.trim().slice(0, 30));
	}
	return [...bad];
})()`

func testContrast(b *browser) {
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.open(sample(20))
		b.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
		for _, s := range eval[[]string](b, contrast) {
			b.t.Errorf("%s: %s", scheme, s)
		}
	}
	b.scheme("light")
}

func testNarrow(b *browser) {
	b.do(chromedp.EmulateViewport(360, 740))
	defer b.do(chromedp.EmulateViewport(1280, 900))
	b.open(sample(20))
	if n := eval[int](b, `document.documentElement.scrollWidth`); n > 360 {
		b.t.Errorf("the page is %d px wide on a phone", n)
	}
	// Of histograms and timelines nothing is cut away.
	if got := eval[string](b, `[...document.querySelectorAll(":is(.hist, .time) :is(rect, .tick, .name)")].filter((e) => {
		const r = e.getBoundingClientRect();
		return r.width && (r.left < 14 || r.right > 346);
	}).map((e) => e.outerHTML).join()`); got != "" {
		b.t.Errorf("outside: %.300s", got)
	}
}

func testPrint(b *browser) {
	b.open(sample(20))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	defer b.scheme("light")
	if got := eval[string](b, `[...document.querySelectorAll("#filter, #theme, .sections, .copy")].filter((e) => e.checkVisibility()).map((e) => e.outerHTML).join()`); got != "" {
		b.t.Errorf("on paper there is %.200s", got)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
	b.must(err)
	if len(pdf) < 10_000 {
		b.t.Errorf("the PDF has %d bytes", len(pdf))
	}
}

func testHostile(b *browser) {
	b.open(poisoned())
	b.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
	if n := eval[int](b, `document.querySelectorAll("img, iframe, object, embed, link, base").length`); n > 0 {
		b.t.Errorf("%d elements out of nowhere", n)
	}
	if got := eval[string](b, `[...document.querySelectorAll("*")].flatMap((e) => e.getAttributeNames()).filter((a) => a.startsWith("on") || a === "style" || a === "src").join()`); got != "" {
		b.t.Errorf("attributes %s", got)
	}
	if !eval[bool](b, `document.querySelector("#f1 .req").textContent.includes("<script>alert(1)</script>") && document.title.includes("x1b]0;owned")`) {
		b.t.Error("the text is not shown as it is")
	}
	// Even what did become an element would not run.
	b.do(chromedp.Evaluate[chromedp.Void](`(() => {
		const s = document.createElement("script");
		s.textContent = "window.ran = true";
		document.body.append(s);
	})()`))
	b.until(`window.ran === undefined`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bad) != 1 || !strings.Contains(b.bad[0], "violates script-src-elem: inline") {
		b.t.Errorf("the policy did not stop a script: %q", b.bad)
	}
	b.bad = nil
}

// Ten thousand findings open, search and unfold without a wait that one would notice.
func testMany(b *browser) {
	const n = 9000 / slowdown
	all := text.Grouped(n + n/10)
	begun := time.Now()
	b.open(sample(n))
	b.t.Logf("%s findings: written and opened in %v", all, time.Since(begun).Round(time.Millisecond))
	if n := eval[int](b, `document.querySelectorAll("*").length`); n > 60_000 {
		b.t.Errorf("%d elements", n)
	}
	b.until(fmt.Sprintf(`document.querySelector("#count").textContent === "%s findings"`, all))
	before := eval[int](b, shown+".length")
	b.do(chromedp.Click(chromedp.CSS("#g0 .next")))
	b.until(fmt.Sprintf(shown+".length === %d", before+more))
	begun = time.Now()
	b.set("by-text", fmt.Sprintf("/r/%d?", n-7))
	b.until(fmt.Sprintf(`document.querySelector("#count").textContent === "1 of %s findings"`, all))
	b.t.Logf("searched in %v", time.Since(begun).Round(time.Millisecond))
	id := eval[string](b, shown+"[0].id")
	b.do(chromedp.Click(chromedp.CSS("#" + id + " > summary")))
	if got := eval[string](b, fmt.Sprintf(`document.querySelector("#%s .ladder .seg.lost .what").textContent`, id)); got != fmt.Sprintf("GET /r/%d?secret=%[1]d", n-7) {
		b.t.Errorf("its ladder has %q", got)
	}
	// A link to one that was never unfolded.
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`location.hash = "#f%d"`, n)))
	b.until(fmt.Sprintf(`document.querySelector("#f%d")?.open`, n))
}

// more is how many findings a click on the button adds, as the script has it.
const more = 100

// call runs a command of the browser's protocol.
func call[P, R any](b *browser, cmd cdp.Command[P, R], p P) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, cmd, p)
	b.must(err)
}
