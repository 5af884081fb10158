local suspended = obj.spec.suspend == true
local over = obj.status ~= nil and (obj.status.phase == "Ended" or obj.status.phase == "Missed")

local actions = {}
actions["reconcile"] = { ["disabled"] = suspended }
actions["suspend"] = { ["disabled"] = suspended or over }
actions["resume"] = { ["disabled"] = not suspended }
return actions
