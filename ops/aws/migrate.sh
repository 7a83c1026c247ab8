#!/usr/bin/env bash
# migrate.sh: run the migration task of the new image once, wait, and fail unless it ended with 0.
# The deploy workflow calls it before any service has the new image.
set -euo pipefail

export_of() {
  aws cloudformation list-exports --query "Exports[?Name=='$STACK-$1'].Value" --output text
}

family=$STACK-migrate
if ! aws ecs describe-task-definition --task-definition "$family" > /dev/null 2>&1; then
  # The first deployment: everything but workers, which would find no schema.
  RUNNING=no MAIN_IMAGE=$IMAGE CANARY_IMAGE=$IMAGE "$(dirname "$0")/deploy.sh" services
fi
current=$(aws ecs describe-task-definition --task-definition "$family" --query taskDefinition)
definition=$(jq --arg image "$IMAGE" '
  .containerDefinitions[0].image = $image
  | del(.taskDefinitionArn, .revision, .status, .requiresAttributes, .compatibilities,
        .registeredAt, .registeredBy, .deregisteredAt)' <<< "$current")
revision=$(aws ecs register-task-definition --cli-input-json "$definition" \
  --query taskDefinition.taskDefinitionArn --output text)
network="subnets=[$(export_of PrivateSubnetA),$(export_of PrivateSubnetB)]"
network+=",securityGroups=[$(export_of WorkersGroup)],assignPublicIp=DISABLED"
task=$(aws ecs run-task --cluster "$STACK" --task-definition "$revision" --launch-type FARGATE \
  --network-configuration "awsvpcConfiguration={$network}" \
  --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-stopped --cluster "$STACK" --tasks "$task"
code=$(aws ecs describe-tasks --cluster "$STACK" --tasks "$task" \
  --query 'tasks[0].containers[0].exitCode' --output text)
echo "The migration ended with $code."
test "$code" = 0
