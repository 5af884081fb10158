local suspended = obj.spec.suspend == true
local failed_over = false
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "FailedOver" and condition.status == "True" then
      failed_over = true
    end
  end
end

local actions = {}
actions["reconcile"] = { ["disabled"] = suspended }
actions["failback"] = { ["disabled"] = suspended or not failed_over }
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }
return actions
