"use strict";
(() => {
	const $ = (s, of = document) => of.querySelector(s);
	const $$ = (s, of = document) => [...of.querySelectorAll(s)];
	const say = (text) => { $("#said").textContent = text; };

	// Theme: the system's, until the button says otherwise.
	const theme = $("#theme");
	const dark = matchMedia("(prefers-color-scheme: dark)");
	const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
	const showTheme = () => { theme.textContent = isDark() ? "Switch to light" : "Switch to dark"; };
	const keep = (value) => { try { return value ? localStorage.setItem("connrace-theme", value) : localStorage.getItem("connrace-theme"); } catch { return null; } };
	const kept = keep();
	if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
	theme.hidden = false;
	showTheme();
	dark.addEventListener("change", showTheme);
	theme.addEventListener("click", () => {
		keep(document.documentElement.dataset.theme = isDark() ? "light" : "dark");
		showTheme();
	});

	// Copying. Where the clipboard is not given to pages from disk, the old way; where that
	// is not either, the text is selected for the reader to copy.
	const oldCopy = (text) => {
		const area = document.createElement("textarea");
		area.value = text;
		area.className = "hidden";
		document.body.append(area);
		area.select();
		let done = false;
		try { done = document.execCommand("copy"); } catch { /* select it instead */ }
		area.remove();
		return done;
	};
	const copy = async (button) => {
		const text = button.dataset.copy;
		let done = false;
		try { await navigator.clipboard.writeText(text); done = true; } catch { done = oldCopy(text); }
		button.focus();
		if (!done) {
			const shown = button.previousElementSibling;
			if (shown.tagName === "DETAILS") shown.open = true;
			getSelection().selectAllChildren($("pre", shown) ?? shown);
		}
		const label = button.dataset.label ??= button.textContent;
		button.textContent = done ? "Copied" : "Selected";
		say(done ? "Copied to the clipboard" : "Selected; copy it with Ctrl+C");
		setTimeout(() => { button.textContent = label; }, 2000);
	};
	const prepare = (of) => { for (const b of $$(".copy", of)) b.hidden = false; };
	prepare(document);
	document.addEventListener("click", (e) => {
		const button = e.target.closest?.(".copy");
		if (button) copy(button);
	});

	// In a lane of the timeline the arrow keys go from bar to bar.
	document.addEventListener("keydown", (e) => {
		const bar = e.target.closest?.(".lane a"), step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
		if (!bar || !step) return;
		const bars = $$("a", bar.closest(".lane")), next = bars[bars.indexOf(bar) + step];
		if (!next) return;
		bar.setAttribute("tabindex", -1);
		next.setAttribute("tabindex", 0);
		next.focus();
		e.preventDefault();
	});

	// The index says of each finding what a search needs, and where it is: in the page, or
	// in a parcel that is unpacked when it is wanted.
	const unpack = async (element) => {
		const letters = element.textContent.replaceAll("-", "+").replaceAll("_", "/");
		const bytes = Uint8Array.from(atob(letters), (c) => c.charCodeAt(0));
		const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
		return new Response(stream).json();
	};
	const parcels = $$("script.parcel").map((element) => ({ element, rows: null }));
	const rowsOf = (n) => parcels[n].rows ??= unpack(parcels[n].element);
	const elementOf = async (row) => {
		if (row.element) return row.element;
		const html = (await rowsOf(row.parcel))[row.place];
		if (row.element) return row.element;
		const box = document.createElement("template");
		box.innerHTML = html;
		row.element = box.content.firstElementChild;
		prepare(row.element);
		return row.element;
	};

	const more = 100; // findings that a click adds
	const form = $("#filter");
	const fields = { text: $("#by-text"), rule: $("#by-rule"), target: $("#by-target"), grade: $("#by-grade") };
	let groups = [];
	let run = 0; // the newest call of show

	const wanted = () => {
		const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
		const rule = fields.rule.value, target = fields.target?.value, grade = fields.grade.value.split(" ").filter(Boolean);
		return (g, row) => (!rule || g.rule === rule) && (!target || row.target === target) &&
			(!grade.length || grade.includes(row.grade)) &&
			words.every((w) => /^#\d+$/.test(w) ? w === "#" + row.id : row.text.includes(w));
	};
	const isFiltered = () => Object.values(fields).some((f) => f?.value);

	// show shows the findings that fit, of each group as many as its limit.
	const show = async () => {
		const me = ++run, fits = wanted(), filtered = isFiltered();
		let sum = 0, all = 0;
		for (const g of groups) {
			const rows = g.rows.filter((row) => fits(g, row));
			const elements = await Promise.all(rows.slice(0, g.limit).map(elementOf));
			if (me !== run) return;
			g.list.replaceChildren(...elements);
			g.element.hidden = filtered && rows.length === 0;
			const left = rows.length - elements.length;
			if (g.next) {
				g.next.hidden = left === 0;
				g.next.textContent = `Show ${Math.min(more, left)} more of ${left.toLocaleString("en")}`;
			}
			sum += rows.length;
			all += g.rows.length;
		}
		const total = `${all.toLocaleString("en")} ${all === 1 ? "finding" : "findings"}`;
		$("#count").textContent = filtered ? `${sum.toLocaleString("en")} of ${total}` : total;
	};

	const start = async () => {
		const data = $("script.index");
		if (!data || !form) return;
		const index = await unpack(data);
		const links = new Map();
		let at = 0;
		groups = $$(".group").map((element, i) => {
			const list = $(".rows", element), plain = [...list.children];
			const rows = index.rows.slice(at, at += index.groups[i]);
			rows.forEach((row, k) => { row.element = plain[k]; row.at = k; });
			const g = { element, list, rows, rule: element.dataset.rule, limit: Math.max(plain.length, more), next: $(".next", element) };
			rows.forEach((row) => links.set("f" + row.id, [g, row]));
			g.next?.addEventListener("click", async () => { g.limit += more; await show(); });
			return g;
		});
		form.hidden = false;
		let wait = 0;
		const changed = () => {
			clearTimeout(wait);
			wait = setTimeout(() => {
				for (const g of groups) {
					g.limit = more;
					if (isFiltered()) g.element.open = true;
				}
				show();
			}, 120);
		};
		form.addEventListener("input", changed);
		form.addEventListener("reset", () => setTimeout(changed));
		form.addEventListener("submit", (e) => e.preventDefault());
		await show();

		// A link to a finding or a rule unfolds it.
		const open = async () => {
			const id = decodeURIComponent(location.hash.slice(1));
			const found = links.get(id);
			if (found) {
				const [g, row] = found;
				if (!g.list.contains(row.element ?? null)) {
					for (const f of Object.values(fields)) if (f) f.value = "";
					fields.text.value = "#" + row.id;
					await show();
				}
				g.element.open = true;
			}
			const element = document.getElementById(id);
			if (element?.tagName !== "DETAILS") return;
			element.open = true;
			element.scrollIntoView({ block: "start" });
			$("summary", element).focus({ preventScroll: true });
		};
		addEventListener("hashchange", open);
		await open();

		// On paper each group shows at least one ladder.
		addEventListener("beforeprint", () => {
			for (const g of groups) {
				const first = $(".finding", g.list);
				if (g.element.open && first && !$(".finding[open]", g.list)) first.open = true;
			}
		});
		document.documentElement.dataset.ready = "true";
	};
	start().catch((e) => {
		// A browser without DecompressionStream still has the plain findings.
		for (const b of $$(".next")) b.replaceWith("This browser cannot unfold the other findings: " + e.message);
	});
})();
