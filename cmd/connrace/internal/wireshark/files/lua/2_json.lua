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
