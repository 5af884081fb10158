-- The verdict of the controller, as kstatus reads it: Stalled is Degraded, Ready is Healthy, and all else is under way.
local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, candidate in ipairs(obj.status.conditions) do
      if candidate.type == kind then
        return candidate
      end
    end
  end
  return nil
end

local function is_true(found)
  return found ~= nil and found.status == "True"
end

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the controller has not looked at this generation yet" }
end

local ready = condition("Ready")
if ready == nil then
  return { status = "Progressing", message = "there is no verdict yet" }
end

local message = ready.reason
if ready.message ~= nil and ready.message ~= "" then
  message = message .. ": " .. ready.message
end

if is_true(condition("Stalled")) then
  return { status = "Degraded", message = message }
end
if is_true(condition("Reconciling")) or not is_true(ready) then
  return { status = "Progressing", message = message }
end
if ready.reason == "Suspended" then
  return { status = "Suspended", message = message }
end
return { status = "Healthy", message = message }
