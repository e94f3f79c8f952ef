#!/bin/sh
# An agent that greets, in shell: everything that an agent can say.
# It does its task in two runs, to show how one goes on where the one before has stopped.
set -eu

outbox=$OCTOPOID_RUN_DIR/outbox
inbox=$OCTOPOID_RUN_DIR/inbox
memory=$OCTOPOID_STATE_DIR/word # the folder stays from run to run of this task

# Leave an item in the outbox: written under another name, then renamed, so that it is read whole.
put() {
  printf '%s' "$2" > "$outbox/.$1.tmp"
  mv "$outbox/.$1.tmp" "$outbox/$1.json"
}

implement() {
  put usage '{"kind": "usage", "input": 1200, "output": 300, "cost_usd": 0.01, "turns": 1}'
  if [ ! -e "$memory" ]; then
    put begun '{"kind": "progress", "text": "I have read the task."}'
    # The command does what the others do with a file, and takes care of quoting.
    word=$(octopoid ask "Which word of greeting?" --option hello --option "good day")
    mkdir -p "$OCTOPOID_STATE_DIR"
    printf '%s\n' "$word" > "$memory"
    put result '{"kind": "result", "outcome": "out_of_turns"}'
    return
  fi
  cat "$memory" > greeting.txt
  git add greeting.txt
  git commit -q -m "Greet"
  put result '{"kind": "result", "outcome": "completed"}'
}

review() {
  if [ -f greeting.txt ]; then
    put verdict '{"kind": "verdict", "verdict": "accept", "reason": "It greets."}'
  else
    put verdict '{"kind": "verdict", "verdict": "reject", "reason": "There is no greeting."}'
  fi
  while [ ! -e "$inbox/verdict.json" ]; do sleep 0.2; done
  cat "$inbox/verdict.json"
}

if grep -q '"role": *"review"' "$OCTOPOID_RUN_DIR/task.json"; then review; else implement; fi
