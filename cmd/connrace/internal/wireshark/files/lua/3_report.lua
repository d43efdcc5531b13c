-- What a report says, checked: it may be anybody's.

local function array(v)
	return type(v) == "table" and v or {}
end

local function string_of(v)
	return type(v) == "string" and v or ""
end

-- whole is a number that fits a field, nil if v is none.
local function whole(v)
	if type(v) == "number" and v >= 0 and v < 2 ^ 32 then
		return math.floor(v)
	end
end

-- seconds since 1970 of an RFC 3339 time in UTC; nil where there is none.
local function seconds(v)
	local y, mo, d, h, mi, s = string_of(v):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$")
	if not y then
		return nil
	end
	y, mo, d = tonumber(y), tonumber(mo), tonumber(d)
	if mo <= 2 then -- years from March on, so that the leap day comes last
		y, mo = y - 1, mo + 12
	end
	local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
		+ math.floor((153 * (mo - 3) + 2) / 5) + d - 719469
	return ((days * 24 + tonumber(h)) * 60 + tonumber(mi)) * 60 + tonumber(s)
end

-- findings_of are the findings that a report has, each with its evidence that has a frame.
local function findings_of(report)
	local list = {}
	for _, f in ipairs(array(array(report).findings)) do
		local id = whole(array(f).id)
		if id then
			local x = {
				id = id, rule = string_of(f.rule), severity = string_of(f.severity), confidence = string_of(f.confidence),
				lost = f.lost == true, summary = string_of(f.summary), cause = string_of(f.cause), fix = string_of(f.fix),
				filter = string_of(f.display_filter), lb = string_of(f.lb), target = string_of(f.target),
				evidence = {},
			}
			for _, e in ipairs(array(f.evidence)) do
				e = array(e)
				local function add(at)
					local frame = whole(at.frame)
					if frame and frame > 0 then
						table.insert(x.evidence, {
							frame = frame, time = seconds(at.time), capture = at.capture, role = string_of(e.role), note = string_of(e.note),
						})
					end
				end
				add(e)
				for _, s in ipairs(array(e.seen)) do -- of joined captures, where others have it
					if array(s).capture ~= e.capture then
						add(array(s))
					end
				end
			end
			-- Where it is counted: at the request that it is about.
			local request = whole(array(f.request).frame)
			x.main = x.evidence[1]
			for _, e in ipairs(x.evidence) do
				if e.frame == request and e.capture == f.capture then
					x.main = e
				end
			end
			table.insert(list, x)
		end
	end
	return list
end

-- by_frame is a table from frame numbers to lists of marks: a finding, and what the frame is
-- in it.
local function by_frame(findings)
	local marks = {}
	for _, f in ipairs(findings) do
		for _, e in ipairs(f.evidence) do
			marks[e.frame] = marks[e.frame] or {}
			table.insert(marks[e.frame], { finding = f, evidence = e })
		end
	end
	return marks
end
