{{- define "meeting-controller.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "meeting-controller.fullname" -}}
{{- $name := include "meeting-controller.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "meeting-controller.selector" -}}
app.kubernetes.io/name: {{ include "meeting-controller.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "meeting-controller.labels" -}}
{{ include "meeting-controller.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "meeting-controller.serviceAccount" -}}
{{- default (ternary (include "meeting-controller.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "meeting-controller.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- /* What the controller may do; why each is needed stands in deploy/base/rbac.yaml. */ -}}
{{- define "meeting-controller.rules" -}}
- apiGroups: [meeting-controller.dev]
  resources: [meetingbridges, scheduledmeetings]
  verbs: [list, watch, patch]
- apiGroups: [meeting-controller.dev]
  resources: [scheduledmeetings]
  verbs: [create, delete]
- apiGroups: [meeting-controller.dev]
  resources: [meetingseries]
  verbs: [list, watch]
- apiGroups: [meeting-controller.dev]
  resources: [meetingbridges/status, scheduledmeetings/status, meetingseries/status]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch, get, create, update, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, get]
{{- end }}

{{- define "meeting-controller.eventRules" -}}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "meeting-controller.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "meeting-controller.serviceAccount" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
