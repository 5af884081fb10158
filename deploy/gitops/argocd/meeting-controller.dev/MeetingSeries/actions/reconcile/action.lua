local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["meeting-controller.dev/reconcile-requested-at"] = "Argo CD, " .. os.date("!%Y-%m-%dT%XZ")
return obj
