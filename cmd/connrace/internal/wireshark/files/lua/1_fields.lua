-- connrace's findings in Wireshark and tshark: as fields (connrace.rule, connrace.role,
-- connrace.finding, connrace.summary and more) on the frames of evidence, as expert
-- information, and in Wireshark as an answer to read (Tools, connrace). The capture itself
-- stays as it is.
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
	version = "2",
	author = "connrace",
	description = "connrace's findings as fields and expert information",
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
	older = ProtoField.string("connrace.older", "Older than the capture", base.ASCII, "Findings from before the capture was written"),
}
connrace.fields = field

-- The expert information: one for each rule and severity that it has, so that Analyze,
-- Expert Information lists the findings by rule. A rule that is not known has its severity's.

local severities = { error = expert.severity.ERROR, warning = expert.severity.WARN, info = expert.severity.NOTE }

local function new_expert(id, title, severity)
	return ProtoExpert.new("connrace.expert." .. id .. "." .. severity, title, expert.group.SEQUENCE, severities[severity])
end

local experts, by_rule = {}, {}
for severity in pairs(severities) do
	by_rule[severity] = new_expert("other", "connrace: another rule", severity)
	table.insert(experts, by_rule[severity])
end
for _, r in ipairs(rules) do
	for _, severity in ipairs(r.severities) do
		local e = new_expert(r.id, "connrace: " .. r.title, severity)
		by_rule[r.id .. " " .. severity] = e
		table.insert(experts, e)
	end
end
local older_expert = ProtoExpert.new("connrace.expert.older", "connrace: the findings are older than the capture",
	expert.group.COMMENTS_GROUP, expert.severity.NOTE)
table.insert(experts, older_expert)
connrace.experts = experts

connrace.prefs.json = Pref.string("JSON report", "",
	"The file with connrace's findings; empty: CAPTURE.connrace.json beside the capture")
connrace.prefs.run = Pref.bool("Run connrace", true, "Run connrace on captures that have no JSON beside them")
connrace.prefs.program = Pref.string("Program", "connrace", "connrace's name on the PATH, or its absolute path")
connrace.prefs.run_max_mb = Pref.uint("Largest capture (MB)", 256, "Do not run connrace on larger captures")

local windows = package.config:sub(1, 1) == "\\"
