#!/bin/sh
# One task by hand: OCTOPOID_SERVER=http://HOST:PORT OCTOPOID_API_KEY=oct_… sh worker.sh NAME (needs curl and jq)
set -eu
call() { # METHOD PATH [BODY]
    curl -sS --fail-with-body -X "$1" "$OCTOPOID_SERVER/api/v1/$2" -H "Content-Type: application/json" \
        -H "Authorization: Bearer ${OCTOPOID_API_KEY:-none}" ${3:+-d "$3"}
}
worker=$(call POST workers "{\"name\":\"$1\"}" | jq -r .id)
order=$(call POST queue/claim "{\"worker_id\":\"$worker\"}")
[ -n "$order" ] || { echo "nothing to do"; exit 0; }
task=$(echo "$order" | jq -r .id)
echo "claimed $task"
call POST queue/complete \
    "{\"worker_id\":\"$worker\",\"work_order_id\":\"$task\",\"lease_token\":$(echo "$order" | jq .lease_token)}" |
    jq -r '.status + " " + .id'
