-- The findings of the capture that is open; nil: not looked for yet.

local open

local most = 512 * 2 ^ 20 -- bytes of JSON

-- load_json is what s says; nil if it is no JSON. Where a user has named it or put it there,
-- that is told.
local function load_json(s, source, capture)
	local ok, report = pcall(decode, s)
	if not ok then
		if source then
			report_failure("connrace: " .. source .. ": " .. tostring(report))
		end
		return nil
	end
	local findings = findings_of(report)
	return {
		report = report, findings = findings, marks = by_frame(findings), source = source, capture = capture,
		older = source ~= nil and older(source, capture),
	}
end

local nothing = { report = {}, findings = {}, marks = {} }

local function load()
	local names = captures()
	for _, name in ipairs({ connrace.prefs.json or "", argument or "", os.getenv("CONNRACE_JSON") or "" }) do
		if name ~= "" then
			local s, size = read_all(name, most)
			if s then
				return load_json(s, name, names[1]) or nothing
			end
			report_failure("connrace: " .. name .. (size and ": too large" or ": cannot be read"))
			return nothing
		end
	end
	for _, path in ipairs(names) do
		local s = read_all(path .. ".connrace.json", most)
		if s then
			return load_json(s, path .. ".connrace.json", path) or nothing
		end
	end
	for _, path in ipairs(names) do
		local s = run(path)
		local found = s and s ~= "" and load_json(s, nil, path)
		if found then
			return found
		end
	end
	return nothing
end

local function current()
	if open == nil then
		open = nothing -- should it fail
		open = load()
	end
	return open
end

local function forget()
	open = nil
end

connrace.init = forget
connrace.prefs_changed = forget

-- same_time tells whether a frame has the time that a finding says. The number that Lua
-- gets has a precision of a quarter of a microsecond.
local function same_time(pinfo, time)
	local ts = pinfo.abs_ts
	if type(ts) ~= "number" then
		ts = ts:tonumber()
	end
	return time == nil or math.abs(ts - time) < 2e-6
end

-- show adds what a frame is in findings in which it has the same role: said once, however
-- many they are.
local function show(tree, role, marks)
	local t = tree:add(connrace)
	t:set_generated()
	local seen = {}
	local function once(name, v)
		local key = name .. " " .. tostring(v)
		if seen[key] then
			return nil
		end
		seen[key] = true
		local item = t:add(field[name], v)
		item:set_generated()
		return item
	end
	local names = {}
	for _, m in ipairs(marks) do
		local f = m.finding
		table.insert(names, string.format("%s #%d (%s)", f.rule, f.id, f.confidence))
		once("rule", f.rule)
		once("role", role)
		once("note", m.evidence.note)
		once("finding", f.id)
		once("severity", f.severity)
		once("confidence", f.confidence)
		once("lost", f.lost)
		once("summary", f.summary)
		once("fix", f.fix)
		if m.evidence == f.main then
			t:add_proto_expert_info(by_rule[f.rule .. " " .. f.severity] or by_rule[f.severity] or by_rule.info,
				string.format("connrace #%d %s: %s", f.id, f.rule, f.summary))
		end
	end
	for _, m in ipairs(marks) do
		for _, other in ipairs(m.finding.evidence) do
			if other ~= m.evidence and other.capture == m.evidence.capture then
				local item = once("frame", other.frame)
				if item then
					item:append_text(" (" .. other.role .. ")")
				end
			end
		end
	end
	t:set_text("connrace: " .. role .. " of " .. table.concat(names, ", "))
end

function connrace.dissector(_, pinfo, tree)
	local found = current()
	if found.older and pinfo.number == 1 then
		local t = tree:add(connrace)
		t:set_text("connrace: findings older than the capture")
		t:set_generated()
		t:add(field.older, found.source):set_generated()
		t:add_proto_expert_info(older_expert, "connrace: " .. found.source .. " is older than the capture")
	end
	local roles, by_role = {}, {}
	for _, m in ipairs(found.marks[pinfo.number] or {}) do
		if same_time(pinfo, m.evidence.time) then
			local role = m.evidence.role
			if not by_role[role] then
				by_role[role] = {}
				table.insert(roles, role)
			end
			table.insert(by_role[role], m)
		end
	end
	for _, role in ipairs(roles) do
		show(tree, role, by_role[role])
	end
end

register_postdissector(connrace)
