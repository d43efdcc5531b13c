-- The answer, in a window of Wireshark: a page with the problems, and one for each problem
-- and each finding, whose display filter is applied when it is turned to.

local longest = 200 -- what a page lists at most, be it problems, findings or frames, and a filter names

-- line is a text for a line: what would break it is left out.
local function line(v)
	return (string_of(v):gsub("%c", " "))
end

-- names joins the strings of an array.
local function names(v)
	local list = {}
	for _, s in ipairs(array(v)) do
		list[#list + 1] = line(s)
	end
	return table.concat(list, ", ")
end

-- filter_of selects the evidence of findings.
local function filter_of(ids)
	local list = {}
	for i = 1, math.min(#ids, longest) do
		list[i] = tostring(ids[i])
	end
	return #list > 0 and "connrace.finding in {" .. table.concat(list, ", ") .. "}" or ""
end

-- problems_of are the problems that a report has worked out: a title, lines and a filter.
local function problems_of(found)
	local problems = {}
	for i, p in ipairs(array(array(found.report).problems)) do
		if i > longest then
			break
		end
		p = array(p) -- what is none is empty
		local lines, ids = {}, {}
		local function add(label, v)
			if type(v) == "table" then
				for _, x in ipairs(v) do
					add(label, x)
					label = ""
				end
				local software = line(v.software)
				v = (software ~= "" and (v.likely == true and "if it is " or "") .. software .. ": " or "") .. line(v.line) .. (line(v.note) ~= "" and "  (" .. line(v.note) .. ")" or "")
			end
			if line(v) ~= "" then
				table.insert(lines, string.format("   %-8s %s", label, line(v)))
			end
		end
		add("Targets", names(p.targets))
		add("What", p.what)
		add("Why", p.why)
		add("Timers", p.timers)
		add("Change", p.change)
		add("Lines", p.fix)
		add("Check", p.check)
		add("More", p.more)
		for _, id in ipairs(array(p.findings)) do
			ids[#ids + 1] = whole(id)
		end
		table.insert(problems, {
			title = line(p.title) .. " [" .. line(p.severity) .. "]", lines = lines, filter = filter_of(ids),
		})
	end
	return problems
end

local function count(n, what)
	return string.format("%d %s%s", n, what, n == 1 and "" or "s")
end

-- answer is the first page.
local function answer(found)
	local t = {}
	local function add(...)
		table.insert(t, string.format(...))
	end
	local totals = array(array(found.report).totals)
	local failed, requests = whole(totals.failed_tries), whole(totals.requests)
	if failed and requests then
		add("%s failed (%s seen); %s.", count(failed, "try"):gsub("trys$", "tries"), count(requests, "request"), count(#found.findings, "finding"))
	else
		add("%s.", count(#found.findings, "finding"))
	end
	add("%s", found.source and "From " .. line(found.source) or found.capture and "connrace was run on " .. line(found.capture)
		or "No JSON report was found, and connrace could not be run: see the preferences of the protocol connrace.")
	if found.older then
		add("NOTE: this report is older than the capture. Frames that it names may be others by now; make it again:")
		add("      connrace --format json CAPTURE > CAPTURE.connrace.json")
	end
	for i, p in ipairs(problems_of(found)) do
		add("")
		add("%d. %s", i, p.title)
		for _, l in ipairs(p.lines) do
			add("%s", l)
		end
		add("   %-8s %s", "Filter", p.filter)
	end
	add("")
	for i, f in ipairs(found.findings) do
		if i > longest then
			add("and %d more", #found.findings - longest)
			break
		end
		add("#%-4d %-33s frame %-7s %s", f.id, line(f.rule), f.main and f.main.frame or "-", line(f.filter))
	end
	return table.concat(t, "\n")
end

-- page tells one finding.
local function page(f)
	local t = { string.format("Finding %d: %s (%s, %s)", f.id, line(f.rule), line(f.severity), line(f.confidence)), "" }
	for _, x in ipairs({ { "What", f.summary }, { "Why", f.cause }, { "Change", f.fix }, { "Between", f.lb .. " -> " .. f.target }, { "Filter", f.filter } }) do
		table.insert(t, string.format("%-8s %s", x[1], line(x[2])))
	end
	table.insert(t, "")
	for i = 1, math.min(#f.evidence, longest) do
		local e = f.evidence[i]
		table.insert(t, string.format("frame %-8d %-16s %s", e.frame, line(e.role), line(e.note)))
	end
	return table.concat(t, "\n")
end

local function show_window()
	local w = TextWindow.new("connrace")
	local finding, problem = 0, 0 -- those turned to

	-- A first line of our own: Qt takes a text that begins like HTML for HTML.
	local function turn(text, filter)
		w:set("connrace\n\n" .. text .. "\n")
		if filter and filter ~= "" then
			set_filter(line(filter))
			apply_filter()
		end
	end
	local function to_finding(n)
		local list = current().findings
		if #list > 0 then
			finding = (n - 1) % #list + 1
			turn(page(list[finding]), list[finding].filter)
		end
	end
	local function to_answer()
		finding, problem = 0, 0
		turn(answer(current()))
	end
	w:add_button("Answer", to_answer)
	w:add_button("Next problem", function()
		local list = problems_of(current())
		if #list > 0 then
			problem = problem % #list + 1
			local p = list[problem]
			turn(problem .. ". " .. p.title .. "\n" .. table.concat(p.lines, "\n") .. "\n   Filter   " .. p.filter, p.filter)
		end
	end)
	w:add_button("Previous finding", function() to_finding(finding - 1) end)
	w:add_button("Next finding", function() to_finding(finding + 1) end)
	w:add_button("Finding ...", function()
		new_dialog("connrace", function(id)
			for i, f in ipairs(current().findings) do
				if tostring(f.id) == (id or ""):match("^%s*#?(%d+)%s*$") then
					to_finding(i)
				end
			end
		end, "Finding")
	end)
	w:add_button("All evidence", function()
		set_filter("connrace.finding")
		apply_filter()
	end)
	to_answer()
end

if gui_enabled() then
	register_menu("connrace/Answer", show_window, MENU_TOOLS_UNSORTED)
	register_menu("connrace/Look for findings again", function()
		forget()
		redissect_packets()
	end, MENU_TOOLS_UNSORTED)
end
