{{/* Helm's own labels. Pods do not have them, so that an upgrade of the chart alone restarts no Pod. */}}
{{- define "portolan.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* "true" if cert-manager issues the certificates, else empty. */}}
{{- define "portolan.certManager" -}}
{{- if or (eq .Values.certificates "cert-manager") (and (eq .Values.certificates "auto") (.Capabilities.APIVersions.Has "cert-manager.io/v1")) }}true{{ end }}
{{- end }}

{{/* "true" if the Service kubernetes leads to the gateway, else empty. */}}
{{- define "portolan.kubernetesServing" -}}
{{- if and .Values.gateway.enabled .Values.gateway.kubernetesServingSecret }}true{{ end }}
{{- end }}

{{- define "portolan.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "portolan.etcdImage" -}}
{{ .Values.etcd.image.repository }}{{ if .Values.etcd.image.digest }}@{{ .Values.etcd.image.digest }}{{ else }}:{{ .Values.etcd.image.tag }}{{ end }}
{{- end }}

{{- define "portolan.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portolan.etcdServers" -}}
{{- if .Values.etcd.enabled -}}
https://portolan-etcd-0.portolan-etcd.portolan.svc:2379,https://portolan-etcd-1.portolan-etcd.portolan.svc:2379,https://portolan-etcd-2.portolan-etcd.portolan.svc:2379
{{- else -}}
{{ join "," .Values.etcd.servers }}
{{- end }}
{{- end }}

{{/* The securityContext of every container. */}}
{{- define "portolan.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "portolan.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "portolan.subjects" -}}
subjects:
- kind: ServiceAccount
  name: portolan
  namespace: portolan
{{- end }}
