#!/bin/sh
# Deploys the stack to AWS, shows what a deployment would change, or deletes it:
# `sh infra/deploy.sh deploy|plan|destroy [further arguments for SAM]`. The first
# deployment asks for what it needs and keeps all of it but the secrets in
# samconfig.toml; the next ones leave every parameter as it is that is not given.
set -eu
cd "$(dirname "$0")/.."
action=$1
shift
sam=.tools/sam/bin/sam
config=samconfig.toml
export SAM_CLI_TELEMETRY=0

ask() { # variable, question, default
  printf '%s%s: ' "$2" "${3:+ [$3]}" >&2
  read -r answer || exit 1
  eval "$1=\${answer:-\$3}"
}

ask_secret() { # variable, question; what is typed is not shown
  printf '%s: ' "$2" >&2
  if [ -t 0 ]; then stty -echo; trap 'stty echo' EXIT; fi
  read -r answer || exit 1
  if [ -t 0 ]; then stty echo; trap - EXIT; echo >&2; fi
  eval "$1=\$answer"
}

quoted() { # a text as JSON
  printf '%s' "$1" | .tools/sam/bin/python -c 'import json, sys; print(json.dumps(sys.stdin.read()))'
}

first_time() {
  echo "First deployment. Every other parameter can be changed later: make deploy ARGS='--parameter-overrides Name=value'" >&2
  ask stack "Name of the stack" square-sync
  ask region "AWS region" "${AWS_REGION:-us-east-1}"
  ask environment "Square's environment (production or sandbox)" production
  ask_secret token "Access token of the Square account"
  ask_secret database "Database (postgres://user:password@host:5432/database?sslmode=verify-full)"
  ask email "E-mail address to tell of failures (empty for none)" ""
  # Arguments would show in the list of processes; SAM takes no .json here, but
  # JSON is YAML.
  parameters=$(mktemp -d)
  trap 'rm -rf "$parameters"' EXIT
  (umask 077 && cat >"$parameters/parameters.yaml" <<JSON
{"SquareEnvironment": $(quoted "$environment"), "SquareAccessToken": $(quoted "$token"),
 "DatabaseUrl": $(quoted "$database"), "NotificationEmail": $(quoted "$email")}
JSON
  )
  set -- --parameter-overrides "file://$parameters/parameters.yaml" "$@"
  # A first deployment that fails leaves nothing behind to get past.
  deploy --stack-name "$stack" --region "$region" --on-failure DELETE "$@"
  cat >"$config" <<TOML
version = 0.1

[default.global.parameters]
stack_name = $(quoted "$stack")
region = $(quoted "$region")
TOML
}

deploy() {
  # AWS never sees the loops: its transform would show the secrets.
  .tools/sam/bin/python infra/lint/expand.py infra/template.yaml infra/.template.json
  "$sam" deploy --template-file infra/.template.json --resolve-s3 \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
    --no-confirm-changeset --no-fail-on-empty-changeset $(saved) "$@"
}

saved() {
  if [ -e "$config" ]; then echo --config-file "$PWD/$config"; fi
}

case $action in
deploy)
  if [ -e "$config" ] || [ $# -gt 0 ]; then deploy "$@"; else first_time; fi
  ;;
plan)
  deploy --no-execute-changeset "$@"
  ;;
destroy)
  "$sam" delete $(saved) "$@"
  ;;
esac
