-- connrace's findings as fields in Wireshark and tshark: connrace.rule, connrace.role,
-- connrace.finding, connrace.summary and more, on the frames of evidence. The capture
-- itself stays as it is.
--
-- The findings come from connrace's JSON, which is looked for in this order:
--
--   1. the file named by the preference connrace.json (-o connrace.json:FILE), by the
--      script's argument (-X lua_script1:FILE) or by the environment (CONNRACE_JSON);
--   2. CAPTURE.connrace.json beside the capture, as written by
--      connrace --format json CAPTURE > CAPTURE.connrace.json
--   3. connrace itself, run on the capture if it is on the PATH and the capture is not
--      too large (preferences connrace.run, connrace.program, connrace.run_max_mb).
--
-- Captures lie in directories that others can write to. Only regular files are opened, for
-- a FIFO would never end, and programs are run only from absolute directories of the PATH,
-- never from the current one.
--
-- Wireshark does not tell Lua the name of the capture. On Linux and macOS this script
-- finds it among the files that the program has open, or else on its command line; on
-- Windows only the first way works. A finding is shown only where the frame has the time
-- that the finding says, so that the JSON of another capture shows nothing.

set_plugin_info({
	version = "1",
	author = "connrace",
	description = "connrace's findings as fields",
})

local argument = ...

local connrace = Proto("connrace", "connrace finding")

local field = {
	rule = ProtoField.string("connrace.rule", "Rule"),
	role = ProtoField.string("connrace.role", "Role", base.ASCII, "What this segment is in the finding"),
	note = ProtoField.string("connrace.note", "Note", base.ASCII, "What this segment shows"),
	finding = ProtoField.uint32("connrace.finding", "Finding", base.DEC, nil, nil, "The finding's id"),
	severity = ProtoField.string("connrace.severity", "Severity"),
	confidence = ProtoField.string("connrace.confidence", "Confidence"),
	lost = ProtoField.bool("connrace.lost", "Lost", base.NONE, nil, nil, "The load balancer's try has failed"),
	summary = ProtoField.string("connrace.summary", "Summary"),
	fix = ProtoField.string("connrace.fix", "Fix"),
	frame = ProtoField.framenum("connrace.frame", "Frame", base.NONE, nil, nil, "Another frame of the finding"),
}
connrace.fields = field

connrace.prefs.json = Pref.string("JSON report", "",
	"The file with connrace's findings; empty: CAPTURE.connrace.json beside the capture")
connrace.prefs.run = Pref.bool("Run connrace", true, "Run connrace on captures that have no JSON beside them")
connrace.prefs.program = Pref.string("Program", "connrace", "connrace's name on the PATH, or its absolute path")
connrace.prefs.run_max_mb = Pref.uint("Largest capture (MB)", 256, "Do not run connrace on larger captures")

local windows = package.config:sub(1, 1) == "\\"

-- JSON, RFC 8259. Null is nil in objects and false in arrays. Anything that is no JSON
-- raises an error.

local deepest = 64
local escapes = {
	['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function utf8(c)
	if c < 0x80 then
		return string.char(c)
	elseif c < 0x800 then
		return string.char(0xc0 + math.floor(c / 0x40), 0x80 + c % 0x40)
	elseif c < 0x10000 then
		return string.char(0xe0 + math.floor(c / 0x1000), 0x80 + math.floor(c / 0x40) % 0x40, 0x80 + c % 0x40)
	end
	return string.char(0xf0 + math.floor(c / 0x40000), 0x80 + math.floor(c / 0x1000) % 0x40,
		0x80 + math.floor(c / 0x40) % 0x40, 0x80 + c % 0x40)
end

local function decode(s)
	local at = 1
	local value

	local function fail(why)
		error(why .. " at byte " .. at, 0)
	end

	local function hex()
		local h = s:match("^%x%x%x%x", at)
		if not h then
			fail("bad escape")
		end
		at = at + 4
		return tonumber(h, 16)
	end

	local function text() -- at is behind the opening quote
		local parts = {}
		while true do
			local stop = s:find('["\\%c]', at)
			if not stop then
				fail("string without end")
			end
			parts[#parts + 1] = s:sub(at, stop - 1)
			local c = s:sub(stop, stop)
			at = stop + 1
			if c == '"' then
				return table.concat(parts)
			elseif c == "\\" then
				local e = s:sub(at, at)
				at = at + 1
				if e == "u" then
					local u = hex()
					if u >= 0xd800 and u < 0xdc00 and s:sub(at, at + 1) == "\\u" then
						at = at + 2
						local low = hex()
						if low >= 0xdc00 and low < 0xe000 then
							u = 0x10000 + (u - 0xd800) * 0x400 + low - 0xdc00
						else
							u = 0xfffd
						end
					end
					if u >= 0xd800 and u < 0xe000 then
						u = 0xfffd
					end
					parts[#parts + 1] = utf8(u)
				elseif escapes[e] then
					parts[#parts + 1] = escapes[e]
				else
					fail("bad escape")
				end
			elseif c ~= "\127" then
				fail("control character in a string")
			else
				parts[#parts + 1] = c
			end
		end
	end

	local function peek()
		at = s:find("[^ \t\r\n]", at) or #s + 1
		return s:sub(at, at)
	end

	local function list(close, depth, element)
		if depth > deepest then
			fail("too deep")
		end
		at = at + 1
		if peek() == close then
			at = at + 1
			return
		end
		while true do
			element()
			local c = peek()
			at = at + 1
			if c == close then
				return
			elseif c ~= "," then
				fail("comma expected")
			end
		end
	end

	function value(depth)
		local c = peek()
		if c == '"' then
			at = at + 1
			return text()
		elseif c == "{" then
			local t = {}
			list("}", depth, function()
				if peek() ~= '"' then
					fail("key expected")
				end
				at = at + 1
				local key = text()
				if peek() ~= ":" then
					fail("colon expected")
				end
				at = at + 1
				t[key] = value(depth + 1)
			end)
			return t
		elseif c == "[" then
			local t = {}
			list("]", depth, function()
				t[#t + 1] = value(depth + 1) or false
			end)
			return t
		end
		local word = s:match("^%a+", at)
		if word == "true" or word == "false" or word == "null" then
			at = at + #word
			if word == "null" then
				return nil
			end
			return word == "true"
		end
		local number = s:match("^%-?%d+%.?%d*[eE]?[+-]?%d*", at)
		local n = number and tonumber(number)
		if not n then
			fail("value expected")
		end
		at = at + #number
		return n
	end

	local v = value(1)
	if peek() ~= "" then
		fail("something behind the value")
	end
	return v
end

-- Findings, by frame.

local function array(v)
	return type(v) == "table" and v or {}
end

local function string_of(v)
	return type(v) == "string" and v or ""
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

-- by_frame makes of a report a table from frame numbers to lists of marks.
local function by_frame(report)
	local marks = {}
	for _, f in ipairs(array(array(report).findings)) do
		if type(f) == "table" and type(f.id) == "number" and f.id >= 0 and f.id < 2 ^ 32 then
			local evidence = {}
			for _, e in ipairs(array(f.evidence)) do
				if type(e) == "table" and type(e.frame) == "number" and e.frame >= 1 and e.frame < 2 ^ 32 then
					evidence[#evidence + 1] = e
				end
			end
			for _, e in ipairs(evidence) do
				local frame = math.floor(e.frame)
				marks[frame] = marks[frame] or {}
				table.insert(marks[frame], {
					finding = f, evidence = e, time = seconds(e.time), all = evidence,
				})
			end
		end
	end
	return marks
end

-- Files.

local function quoted(s)
	return "'" .. s:gsub("'", "'\\''") .. "'"
end

-- safe_path is the PATH without the current directory, be it named or by an empty entry.
local function safe_path()
	local dirs = {}
	for dir in (os.getenv("PATH") or ""):gmatch("[^:]+") do
		if dir:sub(1, 1) == "/" then
			dirs[#dirs + 1] = dir
		end
	end
	return #dirs > 0 and table.concat(dirs, ":") or "/usr/bin:/bin"
end

local function output_of(command)
	local ok, pipe = pcall(io.popen, "PATH=" .. quoted(safe_path()) .. "; export PATH; " .. command, "r")
	if not ok or not pipe then
		return ""
	end
	local s = pipe:read("*a")
	pipe:close()
	return s or ""
end

-- open_file opens a regular file to read.
local function open_file(path)
	if not windows and output_of("test -f " .. quoted(path) .. " && echo yes") ~= "yes\n" then
		return nil
	end
	return io.open(path, "rb")
end

local function read_all(path, most)
	local h = open_file(path)
	if not h then
		return nil
	end
	local size = h:seek("end")
	if not size or size > most then
		h:close()
		return nil, size
	end
	h:seek("set")
	local s = h:read("*a")
	h:close()
	return s
end

local magics = {
	["\10\13\13\10"] = true, -- pcapng
	["\161\178\195\212"] = true, ["\212\195\178\161"] = true, -- pcap
	["\161\178\60\77"] = true, ["\77\60\178\161"] = true, -- in nanoseconds
	["\161\178\205\52"] = true, ["\52\205\178\161"] = true, -- modified
	["\40\181\47\253"] = true, ["\4\34\77\24"] = true, -- zstd, lz4
}

local function is_capture(path)
	local h = open_file(path)
	if not h then
		return false
	end
	local magic = h:read(4)
	h:close()
	return magic ~= nil and (magics[magic] or magic:sub(1, 2) == "\31\139") -- gzip
end

-- arguments of this program, where the system tells them.
local function arguments()
	local list = {}
	for a in ((read_all("/proc/self/cmdline", math.huge) or "") .. "\0"):gmatch("([^%z]*)%z") do
		list[#list + 1] = a
	end
	return list
end

-- captures that this program may have open, the likeliest first.
local function captures()
	local found, seen = {}, {}
	local function add(path)
		-- What a live capture writes is not complete.
		if path:sub(1, 1) == "/" and not seen[path] and not path:match("/wireshark_[^/]*$") and is_capture(path) then
			seen[path] = true
			found[#found + 1] = path
		end
	end
	if windows then
		return found
	end
	local list = arguments()
	local here = output_of("pwd"):gsub("\n$", "")
	local asked
	for i, a in ipairs(list) do
		local path = a:match("^%-r(.+)") or (list[i - 1] == "-r" or list[i - 1] == "--read-file") and a
			or a:match("^%-%-read%-file=(.+)")
		if path and path ~= "-" then
			asked = path:sub(1, 1) == "/" and path or here .. "/" .. path
		end
	end
	-- The files that are open: the shell's parent is this program.
	local open = #list > 0 and output_of('for f in /proc/$PPID/fd/*; do readlink "$f"; done 2>/dev/null')
		or output_of("lsof -a -p $PPID -d 0-999 -Fn 2>/dev/null")
	local real = asked and output_of("readlink -f " .. quoted(asked) .. " 2>/dev/null"):gsub("\n$", "")
	for line in open:gmatch("[^\n]+") do
		local path = line:match("^n(/.*)") or line
		if path == real then
			add(asked) -- by its own name first: the JSON lies beside a link
		end
	end
	for line in open:gmatch("[^\n]+") do
		add(line:match("^n(/.*)") or line)
	end
	if #found == 0 and open == "" and asked then
		add(asked)
	end
	return found
end

-- run is the JSON that connrace writes for a capture.
local function run(path)
	local prefs = connrace.prefs
	local program = prefs.program
	if not prefs.run or program == "" or program:find("/", 1, true) and program:sub(1, 1) ~= "/" then
		return nil
	end
	local h = open_file(path)
	if not h then
		return nil
	end
	local size = h:seek("end")
	h:close()
	if not size or size > prefs.run_max_mb * 1e6 then
		return nil
	end
	return output_of(quoted(program) .. " analyze -q --format json -- " .. quoted(path) .. " 2>/dev/null")
end

-- The findings of the capture that is open; nil: not looked for yet.

local marks

local function load_json(s, name, loud)
	local ok, report = pcall(decode, s)
	if ok then
		return by_frame(report)
	end
	if loud then
		report_failure("connrace: " .. name .. ": " .. tostring(report))
	end
	return nil
end

local most = 512 * 2 ^ 20 -- octets of JSON

local function load_marks()
	for _, name in ipairs({ connrace.prefs.json or "", argument or "", os.getenv("CONNRACE_JSON") or "" }) do
		if name ~= "" then
			local s, size = read_all(name, most)
			if s then
				return load_json(s, name, true) or {}
			end
			report_failure("connrace: " .. name .. (size and ": too large" or ": cannot be read"))
			return {}
		end
	end
	local names = captures()
	for _, path in ipairs(names) do
		local s = read_all(path .. ".connrace.json", most)
		if s then
			return load_json(s, path .. ".connrace.json", true) or {}
		end
	end
	for _, path in ipairs(names) do
		local s = run(path)
		local found = s and s ~= "" and load_json(s, path, false)
		if found then
			return found
		end
	end
	return {}
end

local function forget()
	marks = nil
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

local function show(tree, m)
	local f, e = m.finding, m.evidence
	local rule, role = string_of(f.rule), string_of(e.role)
	local t = tree:add(connrace)
	t:set_text(string.format("connrace: %s #%d (%s): %s", rule, f.id, string_of(f.confidence), role))
	t:set_generated()
	local function add(name, v)
		t:add(field[name], v):set_generated()
	end
	add("rule", rule)
	add("role", role)
	add("note", string_of(e.note))
	add("finding", math.floor(f.id))
	add("severity", string_of(f.severity))
	add("confidence", string_of(f.confidence))
	add("lost", f.lost == true)
	add("summary", string_of(f.summary))
	add("fix", string_of(f.fix))
	for _, other in ipairs(m.all) do
		if other ~= e and other.capture == e.capture then
			t:add(field.frame, math.floor(other.frame)):append_text(" (" .. string_of(other.role) .. ")"):set_generated()
		end
	end
end

function connrace.dissector(_, pinfo, tree)
	if marks == nil then
		marks = {} -- should it fail
		marks = load_marks()
	end
	for _, m in ipairs(marks[pinfo.number] or {}) do
		if same_time(pinfo, m.time) then
			show(tree, m)
		end
	end
end

register_postdissector(connrace)

if gui_enabled() then
	register_menu("connrace/Look for findings again", function()
		forget()
		redissect_packets()
	end, MENU_TOOLS_UNSORTED)
end
