{{- define "stagewatch.labels" -}}
app.kubernetes.io/name: stagewatch
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "stagewatch.selector" -}}
app.kubernetes.io/name: stagewatch
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stagewatch.image" -}}
{{- if contains "@" .Values.image.repository -}}
{{ .Values.image.repository }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
