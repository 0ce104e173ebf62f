#!/bin/sh
# Deploys the stack to AWS, shows what a deployment would change, deletes it, or gives
# it a new secret: `sh infra/deploy.sh deploy|plan|destroy [further arguments for SAM]`,
# `sh infra/deploy.sh secret Parameter`. The first deployment asks for what it needs
# and keeps all of it but the secrets in samconfig.toml; the next ones leave every
# parameter as it is that is not given.
set -eu
cd "$(dirname "$0")/.."
action=${1-}
if [ $# -gt 0 ]; then shift; fi
sam=.tools/sam/bin/sam
config=samconfig.toml
export SAM_CLI_TELEMETRY=0

# However it ends, by Ctrl-C too: no secret stays behind, what is typed shows, and a user
# pool that is not protected yet is not forgotten.
parameters=
hidden=
protect=
clean_up() {
  if [ -n "$hidden" ]; then stty echo; fi
  if [ -n "$parameters" ]; then rm -rf "$parameters"; fi
  if [ -n "$protect" ]; then
    echo "The stack stands, but a slip could delete its users. To protect them: $protect" >&2
  fi
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "$1" >&2
  exit 1
}

ask() { # variable, question, default
  printf '%s%s: ' "$2" "${3:+ [$3]}" >&2
  read -r answer || exit 1
  eval "$1=\${answer:-\$3}"
}

ask_secret() { # variable, question; what is typed is not shown
  printf '%s: ' "$2" >&2
  if [ -t 0 ]; then hidden=1; stty -echo; fi
  read -r answer || exit 1
  if [ -n "$hidden" ]; then stty echo; hidden=; echo >&2; fi
  eval "$1=\$answer"
}

quoted() { # a text as JSON
  printf '%s' "$1" | .tools/sam/bin/python -c 'import json, sys; print(json.dumps(sys.stdin.read()))'
}

# Arguments would show in the list of processes; SAM takes no .json here, but JSON is
# YAML. What stands here can be given another value by the arguments that follow.
keep_parameters() { # names and values, in turn
  if [ -z "$parameters" ]; then parameters=$(mktemp -d); fi
  (
    umask 077
    exec >"$parameters/parameters.yaml"
    separator='{'
    while [ $# -gt 0 ]; do
      value=$(quoted "$2") # by itself, so that it may fail
      printf '%s"%s": %s\n' "$separator" "$1" "$value"
      separator=', '
      shift 2
    done
    echo '}'
  )
}

given() { # a parameter's name, then arguments for SAM
  wanted=$1
  shift
  for argument; do
    case " $argument" in *" $wanted="* | *"ParameterKey=$wanted,"*) return 0 ;; esac
  done
  return 1
}

option() { # an option's name, then arguments for SAM: prints its value
  wanted=$1
  shift
  while [ $# -gt 0 ]; do
    case $1 in
    "$wanted") echo "${2-}" ;;
    "$wanted="*) echo "${1#*=}" ;;
    esac
    shift
  done
}

# The longest name that the stack makes of its own is a schedule's, 64 characters.
check_name() {
  case $1 in
  [!A-Za-z]* | *[!A-Za-z0-9-]*) fail "A stack's name has letters, digits and hyphens, and begins with a letter: $1" ;;
  esac
  if [ ${#1} -gt 48 ]; then fail "The stack's name has ${#1} characters; 48 are the most: $1"; fi
}

first_time() {
  echo "First deployment. Every other parameter can be changed later: make deploy ARGS='--parameter-overrides Name=value'" >&2
  ask stack "Name of the stack" square-sync
  check_name "$stack"
  region=$(option --region "$@")
  if [ -z "$region" ]; then ask region "AWS region" "${AWS_REGION:-us-east-1}"; fi
  environment=production token='' database='' subnets='' groups='' email=''
  if ! given SquareEnvironment "$@"; then
    ask environment "Square's environment (production or sandbox)" production
  fi
  if ! given SquareAccessToken "$@"; then ask_secret token "Access token of the Square account"; fi
  if ! given DatabaseUrl "$@"; then
    ask_secret database "Database (postgres://user:password@host:5432/database?sslmode=verify-full)"
  fi
  if ! given VpcSubnetIds "$@"; then
    ask subnets "Private subnets from which the database is reached, with commas between them (empty for a public database)" ""
  fi
  if [ -n "$subnets" ] && ! given VpcSecurityGroupIds "$@"; then
    ask groups "Security groups of the functions, with commas between them" ""
  fi
  if ! given NotificationEmail "$@"; then
    ask email "E-mail address to tell of failures (empty for none)" ""
  fi
  keep_parameters SquareEnvironment "$environment" SquareAccessToken "$token" \
    DatabaseUrl "$database" VpcSubnetIds "$subnets" VpcSecurityGroupIds "$groups" \
    NotificationEmail "$email" UserPoolDeletionProtection INACTIVE
  name=$(quoted "$stack")
  place=$(quoted "$region")
  # A first deployment that fails leaves nothing behind to get past.
  deploy --stack-name "$stack" --region "$region" --on-failure DELETE "$@"
  cat >"$config" <<TOML
version = 0.1

[default.global.parameters]
stack_name = $name
region = $place
TOML
  if [ -n "$parameters" ]; then rm -rf "$parameters"; fi
  parameters=
  # Only now that the stack stands: a failed deployment cannot delete a protected pool.
  if ! given UserPoolDeletionProtection "$@"; then protect_pool "$@"; fi
}

# With the arguments of the first deployment: whose account it is, its tags and its role
# hold for each one.
protect_pool() {
  of_parameters=
  words=
  for argument; do
    shift
    case $argument in
    --parameter-overrides | --parameter-overrides=*) of_parameters=1 ;;
    -*) of_parameters= ;;
    esac
    if [ -n "$of_parameters" ]; then continue; fi
    set -- "$@" "$argument"
    case $argument in
    *[!A-Za-z0-9_./:=@,+-]*) words="$words\"$argument\" " ;;
    *) words="$words$argument " ;;
    esac
  done
  set -- "$@" --parameter-overrides UserPoolDeletionProtection=ACTIVE
  protect="make deploy ARGS='$words--parameter-overrides UserPoolDeletionProtection=ACTIVE'"
  deploy "$@"
  protect=
}

# SAM takes the option once: what was asked for comes first in it, so that an argument
# has the last word.
deploy() {
  if [ -n "$parameters" ]; then
    file="file://$parameters/parameters.yaml"
    merged=
    for argument; do
      shift
      case $argument in
      --parameter-overrides) set -- "$@" "$argument" "$file"; merged=1 ;;
      --parameter-overrides=*) set -- "$@" --parameter-overrides "$file" "${argument#*=}"; merged=1 ;;
      *) set -- "$@" "$argument" ;;
      esac
    done
    if [ -z "$merged" ]; then set -- "$@" --parameter-overrides "$file"; fi
  fi
  # AWS never sees the loops: its transform would show the secrets.
  .tools/sam/bin/python infra/lint/expand.py infra/template.yaml infra/.template.json
  run deploy --template-file infra/.template.json --resolve-s3 \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
    --no-confirm-changeset --no-fail-on-empty-changeset "$@"
}

run() { # a command of SAM's and its arguments
  if [ -e "$config" ]; then set -- "$@" --config-file "$PWD/$config"; fi
  "$sam" "$@"
}

name=$(option --stack-name "$@")
if [ -n "$name" ]; then check_name "$name"; fi
case $action in
deploy)
  # With a stack's name, as in CI, nothing is asked.
  if [ -e "$config" ] || [ -n "$name" ]; then deploy "$@"; else first_time "$@"; fi
  ;;
plan)
  deploy --no-execute-changeset "$@"
  ;;
secret)
  secret=${1-}
  case $secret in
  SquareAccessToken | DatabaseUrl | OidcClientSecret) shift ;;
  *) fail "make secret NAME=SquareAccessToken, DatabaseUrl or OidcClientSecret" ;;
  esac
  ask_secret value "New value of $secret"
  if [ -z "$value" ]; then fail "No value: nothing was changed."; fi
  keep_parameters "$secret" "$value"
  deploy "$@"
  ;;
destroy)
  run delete "$@"
  ;;
*)
  fail "deploy, plan, secret or destroy, not: $action"
  ;;
esac
