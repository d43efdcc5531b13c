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

-- older tells whether a file was written before another; where that is not known, no.
local function older(path, than)
	return not windows and than ~= nil
		and output_of("test " .. quoted(path) .. " -ot " .. quoted(than) .. " && echo yes") == "yes\n"
end
