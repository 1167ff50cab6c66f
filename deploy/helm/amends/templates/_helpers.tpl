{{/* The name of everything: the release's, so that `helm install amends …` makes what deploy/kubernetes has. The name of a
     pod is longer by 17, and that of a node in a database is at most 40. */}}
{{- define "amends.name" -}}
{{- .Release.Name | trunc 23 | trimSuffix "-" -}}
{{- end -}}

{{- define "amends.selector" -}}
app.kubernetes.io/name: amends
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "amends.labels" -}}
{{ include "amends.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "amends.account" -}}
{{- .Values.serviceAccount.name | default (include "amends.name" .) -}}
{{- end -}}

{{- define "amends.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "amends.rules" -}}
{{- .Values.rules.existingConfigMap | default (ternary (printf "%s-rules" (include "amends.name" .)) "" (gt (len .Values.rules.files) 0)) -}}
{{- end -}}

{{- define "amends.scheme" -}}
{{- ternary "https" "http" .Values.tls.enabled -}}
{{- end -}}

{{/* Helm reads every number as a broken one, and TOML tells 8192 from 8192.0: whole ones are made whole, in place. */}}
{{- define "amends.whole" -}}
{{- $map := . -}}
{{- range $key, $value := $map -}}
{{- if kindIs "map" $value -}}
{{- include "amends.whole" $value -}}
{{- else if and (kindIs "float64" $value) (eq $value (floor $value)) -}}
{{- $_ := set $map $key (int64 $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the chart knows of the configuration; `config` goes over it. */}}
{{- define "amends.config" -}}
{{- $name := include "amends.name" . -}}
{{- $config := dict "listen" "0.0.0.0:7100" "listen_services" "0.0.0.0:7101" "data" "/var/lib/amends" -}}
{{- if include "amends.rules" . -}}
{{- $_ := set $config "rules" "/etc/amends/rules" -}}
{{- end -}}
{{- if eq .Values.store "postgres" -}}
{{- $cluster := dict "database" .Values.postgres.database "password_file" (printf "/etc/amends/database/%s" .Values.postgres.passwordKey) -}}
{{- with .Values.postgres.authorityKey -}}
{{- $_ := set $cluster "authorities" (printf "/etc/amends/database/%s" .) -}}
{{- end -}}
{{- if .Values.postgres.share -}}
{{- $_ := set $cluster "share" true -}}
{{- end -}}
{{- $_ := set $config "cluster" $cluster -}}
{{- end -}}
{{- with .Values.tls.hosts -}}
{{- $_ := set $config "hosts" . -}}
{{- end -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/amends/tls/tls.crt" "key" "/etc/amends/tls/tls.key") -}}
{{- else -}}
{{- $_ := set $config "access" (dict "behind_proxy" true) -}}
{{- end -}}
{{- $tokens := dict -}}
{{- range $token, $grants := .Values.tokens.grants -}}
{{- $_ := set $tokens $token (dict "file" (printf "/etc/amends/keys/%s" $token) "grants" $grants) -}}
{{- end -}}
{{- $_ := set $config "tokens" $tokens -}}
{{- $callback := printf "%s://%s.%s.svc:7101" (include "amends.scheme" .) $name .Release.Namespace -}}
{{- $hosts := list -}}
{{- $asked := list -}}
{{- $grants := list -}}
{{- range .Values.services.namespaces -}}
{{- $hosts = append $hosts (printf "*.%s.svc:%v" . $.Values.services.port) -}}
{{- $asked = append $asked (printf "*.%s.svc" .) -}}
{{- $grants = append $grants (dict "claim" "sub" "is" (printf "system:serviceaccount:%s:*" .) "grants" (list "report:{*}")) -}}
{{- end -}}
{{- $_ := set $config "dispatch" (dict "allow_hosts" $hosts "callback_url" $callback) -}}
{{- $authorities := dict -}}
{{- if and .Values.tls.enabled .Values.services.authorityKey $asked -}}
{{- $file := printf "/etc/amends/tls/%s" .Values.services.authorityKey -}}
{{- $_ := set $authorities "services" (dict "file" $file "hosts" $asked "only" true) -}}
{{- end -}}
{{- if .Values.services.byServiceAccount -}}
{{- $cluster := list "kubernetes.default.svc" -}}
{{- $_ := set $authorities "kubernetes" (dict "file" "/etc/amends/cluster/ca.crt" "hosts" $cluster "only" true) -}}
{{- $_ := set $config "secrets" (dict "kubernetes" (dict "file" "/etc/amends/cluster/token" "hosts" $cluster)) -}}
{{- $issuer := dict "issuer" .Values.services.issuer "audience" "amends" "jwks" "https://kubernetes.default.svc/openid/v1/jwks" -}}
{{- $issuer = merge $issuer (dict "jwks_secret" "kubernetes" "algorithms" (list "RS256") "grants" $grants) -}}
{{- $access := get $config "access" | default dict -}}
{{- $_ := set $access "jwt" (dict "kubernetes" $issuer) -}}
{{- $_ := set $config "access" $access -}}
{{- end -}}
{{- $_ := set $config "ca" $authorities -}}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) -}}
{{- $_ := include "amends.whole" $config -}}
{{- toToml $config -}}
{{- end -}}

{{/* What holds the pod. */}}
{{- define "amends.workload" -}}
{{- ternary "deployment" "statefulset" (eq .Values.store "postgres") -}}
{{- end -}}

{{/* The pod. */}}
{{- define "amends.pod" -}}
metadata:
  labels:
    {{- include "amends.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A new configuration is a new pod. Rulebooks, certificates and keys are taken without one.
    checksum/config: {{ include "amends.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "amends.account" . }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and (eq .Values.store "postgres") .Values.postgres.share }}
  # One machine that dies takes no more nodes than it must.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "amends.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: amends
      image: {{ include "amends.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/amends/config/amends.toml]
      {{- with .Values.env }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: people, containerPort: 7100 }
        - { name: services, containerPort: 7101 }
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      resources: {{- toYaml .Values.resources | nindent 8 }}
      startupProbe:
        httpGet: { path: /readyz, port: people, scheme: {{ include "amends.scheme" . | upper }} }
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 150
      readinessProbe:
        httpGet: { path: /readyz, port: people, scheme: {{ include "amends.scheme" . | upper }} }
        periodSeconds: 5
        timeoutSeconds: 3
      livenessProbe:
        httpGet: { path: /livez, port: people, scheme: {{ include "amends.scheme" . | upper }} }
        periodSeconds: 10
        timeoutSeconds: 3
      volumeMounts:
        - { name: data, mountPath: /var/lib/amends }
        - { name: config, mountPath: /etc/amends/config, readOnly: true }
        {{- if include "amends.rules" . }}
        - { name: rules, mountPath: /etc/amends/rules, readOnly: true }
        {{- end }}
        {{- if .Values.tls.enabled }}
        - { name: tls, mountPath: /etc/amends/tls, readOnly: true }
        {{- end }}
        {{- if .Values.tokens.grants }}
        - { name: keys, mountPath: /etc/amends/keys, readOnly: true }
        {{- end }}
        {{- if .Values.services.byServiceAccount }}
        - { name: cluster, mountPath: /etc/amends/cluster, readOnly: true }
        {{- end }}
        {{- if eq .Values.store "postgres" }}
        - { name: database, mountPath: /etc/amends/database, readOnly: true }
        {{- end }}
        {{- range .Values.secrets }}
        - { name: secret-{{ . }}, mountPath: /etc/amends/secrets/{{ . }}, readOnly: true }
        {{- end }}
        - { name: tmp, mountPath: /tmp }
  volumes:
    {{- if eq .Values.store "postgres" }}
    # For the copies that `amends backup` makes, until somebody fetches them; cases are in the database.
    - { name: data, emptyDir: {} }
    {{- else if .Values.persistence.existingClaim }}
    - { name: data, persistentVolumeClaim: { claimName: {{ .Values.persistence.existingClaim }} } }
    {{- end }}
    - { name: config, configMap: { name: {{ include "amends.name" . }} } }
    {{- with include "amends.rules" . }}
    - { name: rules, configMap: { name: {{ . }} } }
    {{- end }}
    {{- if .Values.tls.enabled }}
    - { name: tls, secret: { secretName: {{ .Values.tls.secretName }}, defaultMode: 0440 } }
    {{- end }}
    {{- if .Values.tokens.grants }}
    - { name: keys, secret: { secretName: {{ .Values.tokens.secretName }}, defaultMode: 0440 } }
    {{- end }}
    {{- if .Values.services.byServiceAccount }}
    # For the cluster itself, which every service account may ask for the keys that it signs tokens with.
    - name: cluster
      projected:
        defaultMode: 0440
        sources:
          - serviceAccountToken: { path: token, expirationSeconds: 3600 }
          - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
    {{- end }}
    {{- if eq .Values.store "postgres" }}
    - { name: database, secret: { secretName: {{ .Values.postgres.secretName }}, defaultMode: 0440 } }
    {{- end }}
    {{- range .Values.secrets }}
    - { name: secret-{{ . }}, secret: { secretName: {{ . }}, defaultMode: 0440 } }
    {{- end }}
    - { name: tmp, emptyDir: { medium: Memory, sizeLimit: 16Mi } }
{{- end -}}
