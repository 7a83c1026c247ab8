#!/usr/bin/env bash
# watch.sh SECONDS: fail as soon as an alarm of this stack rings. The deploy workflow calls it after
# each step, and goes back to the image before when it fails.
set -euo pipefail

until=$((SECONDS + $1))
while ((SECONDS < until)); do
  ringing=$(aws cloudwatch describe-alarms --alarm-name-prefix "$STACK-" --state-value ALARM \
    --query 'MetricAlarms[].AlarmName' --output text)
  if [[ -n $ringing ]]; then
    echo "These alarms ring: $ringing"
    exit 1
  fi
  sleep 30
done
