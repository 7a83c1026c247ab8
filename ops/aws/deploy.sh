#!/usr/bin/env bash
# deploy.sh TEMPLATE: one template by a change set; CloudFormation rolls back what does not come up.
# The deploy workflow calls it with STACK, ENVIRONMENT and BUCKET set, and watches alarms itself.
set -euo pipefail

template=$1
folder=$(dirname "$0")
parameters=("Stack=$STACK")
case $template in
  network | database | observability) parameters+=("Environment=$ENVIRONMENT") ;;
  mail) parameters+=("Domain=$MAIL_IDENTITY") ;;
  services)
    parameters+=(
      "Environment=$ENVIRONMENT" "Image=$MAIN_IMAGE" "CanaryImage=$CANARY_IMAGE"
      "AgentImage=$AGENT_IMAGE" "PublicUrl=$PUBLIC_URL" "MailIdentity=$MAIL_IDENTITY"
      "PaymentGateway=${PAYMENT_GATEWAY:-log}" "Running=${RUNNING:-yes}"
      "CertificateArn=${CERTIFICATE_ARN:-}"
    )
    ;;
esac

name=$STACK-$template
aws cloudformation deploy \
  --stack-name "$name" \
  --template-file "$folder/$template.yaml" \
  --s3-bucket "$BUCKET" \
  --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
  --no-fail-on-empty-changeset \
  --tags "stack=$STACK" "environment=$ENVIRONMENT" \
  --parameter-overrides "${parameters[@]}"
# Protected from a hand that slips: what holds work or data.
case $template in
  network | data | messaging | database)
    aws cloudformation update-termination-protection --enable-termination-protection \
      --stack-name "$name" > /dev/null
    ;;
esac
